import Contracts
import Discovery
import Storage

extension Check {
    /// Counters of pools against claims, allocations and tickets; fulfilments against holds and tickets.
    static let tickets = [
        Check(
            "held counters", in: .ticketManager,
            """
            SELECT pool.id || ' counts ' || pool.held || ' held, its claims are ' || COALESCE(SUM(hold_claim.quantity), 0) AS finding
            FROM pool LEFT JOIN hold_claim ON hold_claim.pool_id = pool.id AND hold_claim.state = 'held'
            GROUP BY pool.id, pool.held HAVING pool.held <> COALESCE(SUM(hold_claim.quantity), 0)
            """),
        Check(
            "sold counters", in: .ticketManager,
            """
            WITH living AS (
                SELECT pool_ids AS pools, COUNT(*) AS tickets FROM ticket WHERE state <> 'void' GROUP BY pool_ids
            )
            SELECT pool.id || ' counts ' || pool.sold || ' sold, its tickets are ' || COALESCE(SUM(living.tickets), 0) AS finding
            FROM pool LEFT JOIN living ON ' ' || living.pools || ' ' LIKE '% ' || pool.id || ' %'
            GROUP BY pool.id, pool.sold HAVING pool.sold <> COALESCE(SUM(living.tickets), 0)
            """),
        Check(
            "allocated counters", in: .ticketManager,
            """
            SELECT pool.id || ' counts ' || pool.allocated || ' allocated, its allocations are '
                || COALESCE(SUM(allocation.quantity), 0) AS finding
            FROM pool LEFT JOIN allocation ON allocation.pool_id = pool.id
            GROUP BY pool.id, pool.allocated HAVING pool.allocated <> COALESCE(SUM(allocation.quantity), 0)
            """),
        Check(
            "capacities", in: .ticketManager,
            """
            SELECT id || ' has ' || capacity || ' places, but ' || held || ' held, ' || sold || ' sold and ' || allocated
                || ' allocated' AS finding
            FROM pool WHERE held + sold + allocated > capacity OR held < 0 OR sold < 0 OR allocated < 0
            """),
        Check(
            "claims of holds", in: .ticketManager,
            """
            SELECT hold.id || ' is ' || hold.state || ', but its claim of ' || hold_claim.pool_id || ' is ' || hold_claim.state AS finding
            FROM hold_claim JOIN hold ON hold.id = hold_claim.hold_id
            WHERE hold_claim.quantity > 0
                AND ((hold_claim.state = 'held' AND hold.state <> 'active') OR (hold_claim.state = 'sold') <> (hold.state = 'confirmed'))
            """),
        Check(
            "lines of holds", in: .ticketManager,
            """
            SELECT hold.id || ' has a claim of ' || hold_claim.pool_id || ', and no line that takes of it' AS finding
            FROM hold_claim JOIN hold ON hold.id = hold_claim.hold_id
            WHERE hold_claim.quantity > 0 AND hold.lines NOT LIKE '%"' || hold_claim.pool_id || '"%'
            """),
        Check(
            "lines of tickets", in: .ticketManager,
            """
            SELECT ticket.id || ' is of the type ' || ticket.ticket_type_id || ', and its hold ' || hold.id || ' is not' AS finding
            FROM ticket JOIN hold ON hold.id = ticket.hold_id
            WHERE hold.lines NOT LIKE '%["' || ticket.ticket_type_id || '",%'
            """),
        Check(
            "claims of tickets", in: .ticketManager,
            """
            WITH issued AS (
                SELECT hold_id, pool_ids AS pools, COUNT(*) AS tickets FROM ticket GROUP BY hold_id, pool_ids
            )
            SELECT hold_claim.hold_id || ' sold ' || hold_claim.quantity || ' of ' || hold_claim.pool_id || ' for '
                || COALESCE(SUM(issued.tickets), 0) || ' tickets' AS finding
            FROM hold_claim LEFT JOIN issued
                ON issued.hold_id = hold_claim.hold_id AND ' ' || issued.pools || ' ' LIKE '% ' || hold_claim.pool_id || ' %'
            WHERE hold_claim.state = 'sold'
            GROUP BY hold_claim.hold_id, hold_claim.pool_id, hold_claim.quantity
            HAVING hold_claim.quantity <> COALESCE(SUM(issued.tickets), 0)
            """),
        Check(
            "fulfilments", in: .ticketManager,
            """
            SELECT fulfilment.order_id || ' is ' || fulfilment.outcome || ' and has ' || COUNT(ticket.id) || ' tickets; its hold is '
                || COALESCE(hold.state, 'missing') AS finding
            FROM fulfilment
            LEFT JOIN ticket ON ticket.order_id = fulfilment.order_id
            LEFT JOIN hold ON hold.id = fulfilment.hold_id
            GROUP BY fulfilment.order_id, fulfilment.outcome, hold.state
            HAVING (fulfilment.outcome = 'confirmed') <> (COUNT(ticket.id) > 0)
                OR (fulfilment.outcome = 'confirmed' AND COALESCE(hold.state, '') <> 'confirmed')
                OR (fulfilment.outcome = 'refused' AND hold.state = 'confirmed')
            """),
        Check(
            "one order for each hold", in: .ticketManager,
            """
            SELECT hold_id || ' was sold to ' || COUNT(*) || ' orders' AS finding FROM fulfilment
            WHERE outcome = 'confirmed' AND hold_id IS NOT NULL GROUP BY hold_id HAVING COUNT(*) > 1
            """),
    ]
}

import Contracts
import Discovery
import Storage
import Values

extension Delivery.Kind: SQLTextValue {}

/// Deliveries and how far they came.
enum DeliveryStore {
    /// Of a row that is found by its id. Said plainly, a planner may look for it among all that are pending, by an index that is the
    /// smallest one while next to nothing is.
    private static let isPending: SQL = "state || '' = 'pending'"

    /// Each once for its kind and subject, however often it is told.
    static func insert(_ deliveries: [Delivery], in tx: Transaction) throws {
        let deliveries = try deliveries.map { ($0, try JSON.text(of: $0.details)) }
        try tx.insert(
            """
            INSERT INTO delivery (id, kind, subject_id, order_id, user_id, address, email, subject, details, state,
                next_attempt_at, created_at) VALUES
            """, deliveries, "ON CONFLICT DO NOTHING"
        ) { rows, new in
            let (delivery, details) = new
            rows.append(
                delivery.id, delivery.kind, delivery.subjectID, delivery.orderId, delivery.userId, delivery.address,
                delivery.email, delivery.subject, details, "pending", delivery.createdAt, delivery.createdAt)
        }
    }

    /// Takes what is due. Until the lease is over nobody else takes it; then whoever took it is believed dead.
    static func claim(limit: Int, lease: TimeSpan, in tx: Transaction) throws -> [Delivery] {
        let now = try tx.now
        return try tx.rows(
            """
            UPDATE delivery SET next_attempt_at = \(now + lease), attempts = attempts + 1
            WHERE id IN (
                SELECT id FROM delivery WHERE state = 'pending' AND next_attempt_at <= \(now) ORDER BY next_attempt_at LIMIT \(limit)
            ) AND \(isPending) AND next_attempt_at <= \(now)
            RETURNING id, kind, subject_id, order_id, user_id, address, subject, details, attempts, created_at
            """
        ).map { row in
            Delivery(
                id: try row["id"], kind: try row["kind"],
                subjectID: try row["subject_id"], orderId: try row["order_id"], userId: try row["user_id"],
                address: try row["address"], subject: try row["subject"], details: try JSON.value(from: try row["details"] as String),
                attempts: try row["attempts"], createdAt: try row["created_at"])
        }
    }

    /// Prolongs the lease of one that is sent now. False where it was over, and somebody else has taken it.
    static func keep(_ delivery: Delivery, lease: TimeSpan, in tx: Transaction) throws -> Bool {
        try tx.execute(
            """
            UPDATE delivery SET next_attempt_at = \(try tx.now + lease)
            WHERE id = \(delivery.id) AND attempts = \(delivery.attempts) AND \(isPending)
            """) == 1
    }

    /// Of those that were taken and not begun: they are due for whoever comes next.
    static func giveBack(_ deliveries: [Delivery], in tx: Transaction) throws {
        for delivery in deliveries {
            try tx.queue(
                """
                UPDATE delivery SET next_attempt_at = \(try tx.now), attempts = attempts - 1
                WHERE id = \(delivery.id) AND attempts = \(delivery.attempts) AND \(isPending)
                """)
        }
    }

    static func sent(_ id: DeliveryID, subject: String, in tx: Transaction) throws {
        try tx.queue(
            """
            UPDATE delivery SET state = 'sent', sent_at = \(tx.now), subject = \(subject), failure = NULL, details = '{}'
            WHERE id = \(id) AND \(isPending)
            """)
    }

    static func postpone(_ id: DeliveryID, until time: Instant, because failure: String, in tx: Transaction) throws {
        try tx.queue(
            "UPDATE delivery SET next_attempt_at = \(time), failure = \(failure) WHERE id = \(id) AND \(isPending)")
    }

    /// For good.
    static func end(_ id: DeliveryID, as state: Contracts::Notification.State, because failure: String, in tx: Transaction) throws {
        try tx.queue(
            """
            UPDATE delivery SET state = \(state.rawValue), failure = \(failure), details = '{}'
            WHERE id = \(id) AND \(isPending)
            """)
    }

    /// What a person was sent, the newest first: by account, and by address where it is known to be theirs.
    static func list(
        for user: UserID, verifiedEmail: String?, after: DeliveryID?, limit: Int, in tx: Transaction
    ) throws -> [Contracts::Notification] {
        let following: SQL = if let after { "AND id < \(after)" } else { "" }
        func ids(_ condition: SQL) -> SQL {
            """
            SELECT id FROM (
                SELECT id FROM delivery WHERE \(condition) AND state <> 'canceled' \(following) ORDER BY id DESC LIMIT \(limit)
            ) AS found
            """
        }
        var mine = ids("user_id = \(user)")
        if let verifiedEmail { mine = "\(mine) UNION \(ids("email = \(verifiedEmail.lowercased())"))" }
        return try tx.rows(
            """
            SELECT id, kind, subject, state, order_id, created_at, sent_at FROM delivery
            WHERE id IN (\(mine)) ORDER BY id DESC LIMIT \(limit)
            """
        ).map { row in
            Contracts::Notification(
                id: try row["id"], kind: try row["kind"], subject: try row["subject"],
                state: Contracts::Notification.State(rawValue: try row["state"]) ?? .pending, orderId: try row["order_id"],
                createdAt: try row["created_at"], sentAt: try row["sent_at"])
        }
    }
}

import Contracts
import Discovery
import HTTPTypes
import ServiceKit
import Storage
import Values

/// Turns a cart into an order, once, however often it is asked and under however many keys.
struct Checkout: Sendable {
    let database: Database
    let purchase: Purchase
    let coupons: CouponManagerClient
    let configuration: LiveSettings<SalesManagerConfiguration>
    let faults: Faults

    func checkOut(_ cartID: CartID, _ request: CheckoutRequest, user: UserID?, key: IdempotencyKey) async throws -> Reply {
        let orderTime = configuration.orderTime
        let (id, number) = (OrderID(), OrderNumber.make())
        // The order is committed first; whatever happens from here on, it is known and comes to an end.
        let committed = try await database.write { tx -> OrderRecord in
            // What a key answers is its cart's order, as it stands by then.
            let isKnown = try Idempotency.answer(to: key, in: tx) != nil
            guard let cart = try CartStore.lock(cartID, in: tx) else { throw Problem.notFound("cart") }
            if cart.state == .ordered, let existing = try OrderStore.find(ofCart: cartID, in: tx) {
                if !isKnown { try Idempotency.remember(Reply(status: .created), for: key, in: tx) }
                return existing
            }
            guard !isKnown else {
                // Its order was withdrawn with its coupon. The buyer has not agreed to the price without it.
                throw Problem.conflict(
                    "cart-changed", "The coupon cannot be used, and the price is another", "Look at the cart, and check out with a new key."
                )
            }
            let now = try tx.now
            let order = try cart.order(id: id, number: number, request, user: user, at: now, expiresAt: now + orderTime)
            try Idempotency.remember(Reply(status: .created), for: key, in: tx)
            // The cart's row is locked, so nobody else made an order of it meanwhile.
            guard try OrderStore.insert(order, lookAt: now + .seconds(10), in: tx) else { throw Problem.notFound("cart") }
            try CartStore.setState(.ordered, of: cartID, in: tx)
            return order
        }
        try await faults.point("sales.order-committed")
        try await bindCoupon(of: committed)
        let order = try await purchase.advance(committed)
        return try .created(
            CheckoutAnswer(
                order: try await purchase.wire(order), orderToken: purchase.secret.token(for: "\(order.id)"), payment: order.payment),
            at: "/api/v1/orders/\(order.id)")
    }

    /// Binds the coupon's use to order and buyer. Where the buyer has used it up, the order never was, and the cart goes on without the
    /// coupon. An order whose use was bound once, by whomever, does not vanish: its payment may have been begun.
    private func bindCoupon(of order: OrderRecord) async throws {
        guard order.status == .draft, let use = order.couponUseID else { return }
        let (id, cartID) = (order.id, order.cartID)
        do {
            try await purchase.bindCoupon(of: order)
        } catch let problem as Problem where problem.status == 409 || problem.status == 422 {
            let isGone = try await database.write { tx -> Bool in
                guard let order = try OrderStore.lock(id, in: tx) else { return true }
                guard order.mayBeWithdrawn, try tx.now < order.expiresAt else { return false }
                try OrderStore.delete(id, in: tx)
                try CartStore.setState(.open, of: cartID, in: tx)
                try CartStore.setCoupon(nil, discounts: [:], of: cartID, in: tx)
                try OrderStore.history(id, "withdrawn", actor: "sales-manager", reason: problem.code, in: tx)
                return true
            }
            // Of an order that goes on it is the order's.
            if isGone { try? await coupons.release(use) }
            throw problem
        }
    }
}

extension OrderRecord {
    /// Nobody has bound its coupon's use, and so nobody has begun to charge for it.
    fileprivate var mayBeWithdrawn: Bool { status == .draft && version == OrderRecord.firstVersion }
}

extension CartRecord {
    /// The order that this cart becomes: nothing of price, discount or stock is the client's.
    fileprivate func order(
        id: OrderID, number: String, _ request: CheckoutRequest, user: UserID?, at now: Instant, expiresAt: Instant
    ) throws -> OrderRecord {
        guard let event, let holdID, !lines.isEmpty else {
            throw Problem.conflict("cart-empty", "The cart is empty", "Choose tickets first.")
        }
        guard state == .open, now < self.expiresAt else {
            throw Problem.conflict("cart-expired", "The time for this cart is over", "Its tickets went back on sale; start a new cart.")
        }
        let totals = Totals(lines, event.currency)
        guard totals.total.amount == 0 || request.payment != nil else {
            throw Problem.invalid("payment", "is missing; say which provider is to be used")
        }
        var attendees = Dictionary(grouping: request.attendees ?? [], by: \.lineId).mapValues { $0[...] }
        let orderLines = lines.map { line in
            let units = line.units().map { unit in
                let attendee = attendees[line.id]?.popFirst()
                return OrderUnit(
                    id: OrderUnitID(), price: unit.price, discount: unit.discount, tax: unit.tax, fee: unit.fee, total: unit.total,
                    attendee: Attendee(name: attendee?.name ?? request.buyer.name, email: attendee?.email ?? request.buyer.email),
                    refunded: false)
            }
            let wire = line.wire(event.currency)
            return OrderLine(
                id: OrderLineID(), ticketTypeId: line.ticketTypeID, name: line.name, quantity: line.quantity, unitPrice: wire.unitPrice,
                discount: wire.discount, tax: wire.tax, fees: wire.fees, total: wire.total, units: units)
        }
        guard attendees.values.allSatisfy(\.isEmpty) else {
            throw Problem.invalid("attendees", "must name lines of this cart, and no more than one attendee per ticket")
        }
        return OrderRecord(
            id: id, cartID: self.id, number: number, eventID: event.id, organizerID: event.organizerID, status: .draft,
            buyer: request.buyer, userID: user, holdID: holdID, couponUseID: couponUseID, couponCode: couponCode, totals: totals,
            choice: totals.total.amount == 0 ? nil : request.payment, isSettled: false, expiresAt: expiresAt, createdAt: now,
            version: OrderRecord.firstVersion, lines: orderLines)
    }
}

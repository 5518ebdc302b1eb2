import Contracts
import Discovery
import Messaging
import ServiceKit
import Storage
import Values

/// Takes an order from one certain state to the next, until it has ended. Every step may be repeated, by the buyer's request,
/// by a message, or by the reconciler, and finds what the last one left.
struct Purchase: Sendable {
    let database: Database
    let outbox: Outbox
    let secret: LinkSecret
    let tickets: TicketManagerClient
    let coupons: CouponManagerClient
    let payments: PaymentProcessingClient
    let refunds: Refunds
    let configuration: LiveSettings<SalesManagerConfiguration>
    let faults: Faults

    func find(_ id: OrderID) async throws -> OrderRecord {
        guard let order = try await database.read({ tx in try OrderStore.find(id, in: tx) }) else { throw Problem.notFound("order") }
        return order
    }

    /// Binds the use of the order's coupon to order and buyer. From here on the order is not withdrawn any more.
    /// - Throws: `Problem` 409 or 422 where the use cannot be had, and 409 where the order was withdrawn for it meanwhile.
    func bindCoupon(of order: OrderRecord) async throws {
        guard let use = order.couponUseID else { return }
        _ = try await coupons.bind(use, order.couponBinding(margin: configuration.holdMargin))
        try await database.write { tx in
            guard var order = try OrderStore.lock(order.id, in: tx) else {
                throw Problem.conflict(
                    "cart-changed", "The coupon could not be used, and the price is another",
                    "Look at the cart, and check out with a new key.")
            }
            if order.status == .draft, order.version == OrderRecord.firstVersion { try OrderStore.save(&order, in: tx) }
        }
    }

    /// Brings an open order as far as it goes now.
    func advance(_ order: OrderRecord) async throws -> OrderRecord {
        guard order.status == .draft else { return order }
        let id = order.id
        if order.expiresAt <= .now, try await isOver(order) { return try await expired(order) }
        // The hold obeys the order from here on; the payment is made only after.
        let hold: Hold
        do {
            hold = try await tickets.bind(
                order.holdID, HoldBinding(eventId: order.eventID, orderId: id, expiresAt: order.expiresAt + configuration.holdMargin))
        } catch let problem as Problem where problem.status == 409 {
            try await end(id, as: .expired, reason: "expired")
            throw problem
        }
        // Bound before, and found again after the order's time was over: nobody is charged for what others may have by now.
        guard hold.state == .active || hold.state == .confirmed else { return try await expired(order) }
        guard order.isCovered(by: hold) else {
            // A change of the cart was made at TicketManager and not yet here when the cart was checked out. Nobody could get these
            // tickets, so nobody pays for them.
            try await refuseAndEnd(order, .canceled, nil)
            throw Problem.conflict(
                "cart-changed", "The cart was changed while it was checked out", "Nothing was charged; start a new cart.")
        }
        guard let choice = order.choice else { return try await fulfil(order, payment: nil) }
        try await faults.point("sales.hold-bound")
        let payment: Payment
        do {
            payment = try await payments.create(
                NewPayment(
                    orderId: id, organizerId: order.organizerID, amount: order.totals.total, description: "Order \(order.number)",
                    buyerEmail: order.buyer.email, choice: choice, expiresAt: order.expiresAt))
        } catch let problem as Problem where problem.code == "invalid" {
            // A provider that is not offered: nothing was begun, and the buyer may choose another way with another cart.
            try await refuseAndEnd(order, .canceled, nil)
            throw problem
        }
        try await faults.point("sales.payment-created")
        return try await follow(payment, of: order)
    }

    private func isOver(_ order: OrderRecord) async throws -> Bool {
        try await database.read { tx in try order.expiresAt <= tx.now }
    }

    private func expired(_ order: OrderRecord) async throws -> OrderRecord {
        try await close(order, .expired)
        return try await find(order.id)
    }

    /// What follows from how the payment stands.
    func paymentChanged(_ id: OrderID, _ payment: Payment) async throws {
        _ = try await follow(payment, of: try await find(id))
    }

    private func follow(_ payment: Payment, of order: OrderRecord) async throws -> OrderRecord {
        if payment.state == .captured || (payment.isPayLater && order.status.isOpen) {
            try await faults.point("sales.captured")
            return try await fulfil(order, payment: payment)
        }
        let now = try await database.write { tx -> OrderRecord in
            guard var order = try OrderStore.lock(order.id, in: tx) else { throw Problem.notFound("order") }
            try OrderStore.save(payment, of: order.id, in: tx)
            if order.status == .draft {
                order.status = try order.status.next(.awaitingPayment)
                try OrderStore.save(&order, lookAt: try tx.now + .seconds(5), in: tx)
            }
            order.payment = payment
            return order
        }
        try await refunds.follow(payment, of: now)
        try await followDisputes(of: now)
        return now
    }

    /// Keeps what is newer of a payment than what is known.
    @discardableResult
    func remember(_ payment: Payment, of order: OrderRecord) async throws -> OrderRecord {
        guard payment.version > order.payment?.version ?? 0 else { return order }
        try await database.write { tx in try OrderStore.save(payment, of: order.id, in: tx) }
        return try await find(order.id)
    }

    /// With the payment as it is now, where the money may have come a moment ago, at the door.
    func withPaymentOfNow(_ order: OrderRecord) async throws -> OrderRecord {
        guard order.payment?.state == .open, let payment = try await payments.payment(of: order.id) else { return order }
        return try await remember(payment, of: order)
    }

    /// While money is disputed, and when it is lost, its tickets open no door. Looks at the newest that is known of the payment, for
    /// messages overtake each other.
    func followDisputes(of order: OrderRecord) async throws {
        guard order.payment?.disputes?.isEmpty == false else { return }
        var followed: Payment?
        while let payment = try await find(order.id).payment, payment.version != followed?.version {
            for dispute in payment.disputes ?? [] {
                switch dispute.state {
                case .opened, .lost:
                    try await tickets.block(
                        "\(dispute.id)", TicketBlock(orderId: order.id, unitIds: order.units.map(\.id), reason: "dispute", insist: true))
                case .won: try await tickets.unblock("\(dispute.id)")
                }
            }
            followed = payment
        }
    }

    /// Asks TicketManager, whose first word is permanent, and does what follows from it.
    private func fulfil(_ order: OrderRecord, payment: Payment?) async throws -> OrderRecord {
        if order.status == .paid {
            var known = order
            if let payment { known = try await remember(payment, of: order) }
            try await followDisputes(of: known)
            if let payment { try await refunds.follow(payment, of: known) }
            try await settle(known, payment)
            return known
        }
        if order.status == .canceled {
            // Captured although it was given up: the money goes back.
            if let payment { try await giveBack(order, payment, cause: "canceled") }
            return order
        }
        let fulfilment = try await tickets.fulfil(
            order.id,
            FulfilmentRequest(
                eventId: order.eventID, holdId: order.holdID,
                units: order.lines.flatMap { line in
                    line.units.map { FulfilmentUnit(unitId: $0.id, ticketTypeId: line.ticketTypeId, attendee: $0.attendee) }
                }))
        try await faults.point("sales.fulfilled")
        switch fulfilment.outcome {
        case .confirmed:
            var paid = try await markPaid(order.id, payment)
            if paid.status == .paid { paid.tickets = fulfilment.tickets }
            return paid
        case .refused:
            try await end(order.id, as: order.status == .expired ? .expired : .canceled, reason: "unfulfillable", payment: payment)
            if let payment { try await giveBack(order, payment, cause: "unfulfillable") }
            return try await find(order.id)
        }
    }

    /// Paid, under the lock of the event's row: for an event that was canceled at this moment, the money goes back instead.
    private func markPaid(_ id: OrderID, _ payment: Payment?) async throws -> OrderRecord {
        let secret = secret
        let outbox = outbox
        let (order, isCanceled) = try await database.write { tx -> (OrderRecord, Bool) in
            guard var order = try OrderStore.lock(id, in: tx) else { throw Problem.notFound("order") }
            let news = payment.flatMap { $0.version > order.payment?.version ?? 0 ? $0 : nil }
            if let news { order.payment = news }
            guard order.status != .paid, order.status != .canceled else {
                if let news { try OrderStore.save(news, of: id, in: tx) }
                return (order, false)
            }
            let isCanceled = try EventStore.isCanceled(order.eventID, in: tx)
            let now = try tx.now
            order.status = try order.status.next(isCanceled ? .canceled : .paid)
            order.paidAt = isCanceled ? nil : now
            // Coupons has to hear of it. Payments hears of it when it announces the capture, which it does until then.
            let isPaidFor = payment.map { $0.state != .open && $0.captured.amount > 0 } ?? true
            let isUndisputed = payment?.disputes?.isEmpty ?? true
            order.isSettled = !isCanceled && order.couponUseID == nil && isPaidFor && isUndisputed
            try OrderStore.save(&order, news, lookAt: now + .seconds(5), in: tx)
            let facts = order.facts(token: secret.token(for: "\(id)"))
            if isCanceled {
                try outbox.append(OrderEnded(order: facts, reason: "event-canceled"), of: "\(id)", version: order.version, in: tx)
            } else {
                try outbox.append(OrderPaid(order: facts, paidAt: now), of: "\(id)", version: order.version, in: tx)
            }
            return (order, isCanceled)
        }
        try await faults.point("sales.paid")
        // Also where nothing was paid: its tickets were issued.
        if isCanceled { try await giveBack(order, payment, cause: "event-canceled") }
        return order
    }

    /// Tells Coupons and Payments what became of a paid order. The buyer does not wait for it.
    func settle(_ order: OrderRecord, _ payment: Payment?) async throws {
        guard !order.isSettled else {
            if payment?.state == .captured { try await payments.settle(order.id, .fulfilled) }
            return
        }
        if let payment, payment.state == .closed, payment.captured.amount == 0, order.units.contains(where: { !$0.refunded }) {
            // It was to be paid later, and that was closed: its tickets are for nothing.
            guard try await refunds.refundAll(order.id, payment, cause: "unpaid"), try await cancelPaid(order.id, reason: "unpaid") else {
                return
            }
            try await database.write { tx in try OrderStore.setSettled(order.id, in: tx) }
            return
        }
        if let use = order.couponUseID { _ = try await coupons.redeem(use) }
        // One that is paid at the door is settled when the money is there.
        guard payment?.state != .open else { return }
        if payment != nil { try await payments.settle(order.id, .fulfilled) }
        try await database.write { tx in try OrderStore.setSettled(order.id, asOf: order.payment, in: tx) }
    }

    /// Ends an unpaid order for good.
    func end(_ id: OrderID, as status: OrderStatus, reason: String, payment: Payment? = nil) async throws {
        let secret = secret
        let outbox = outbox
        let use = try await database.write { tx -> CouponUseID? in
            guard var order = try OrderStore.lock(id, in: tx), order.status != .paid else { return nil }
            if let payment { try OrderStore.save(payment, of: id, in: tx) }
            guard order.status.isOpen else { return order.couponUseID }
            order.status = try order.status.next(status)
            try OrderStore.save(&order, lookAt: try tx.now, in: tx)
            try OrderStore.history(id, status.rawValue, actor: "sales-manager", reason: reason, in: tx)
            try outbox.append(
                OrderEnded(order: order.facts(token: secret.token(for: "\(id)")), reason: reason), of: "\(id)", version: order.version,
                in: tx)
            return order.couponUseID
        }
        if let use { try await coupons.release(use) }
    }

    /// Cancels a paid order because of a refund, which is owed from here on.
    /// - Parameter refund: its cause.
    /// - Returns: false, with nothing done, where that refund has failed meanwhile.
    func cancelPaid(_ id: OrderID, actor: String = "sales-manager", reason: String, refund: String? = nil) async throws -> Bool {
        let secret = secret
        let outbox = outbox
        return try await database.write { tx in
            guard var order = try OrderStore.lock(id, in: tx), order.status == .paid else { return true }
            let tries = RefundTries(of: refund ?? reason, among: try RefundStore.refunds(of: id, in: tx))
            if let living = tries.living {
                try RefundStore.setOwed(true, of: living, in: tx)
            } else if tries.last != nil, !order.units.allSatisfy(\.refunded) {
                return false
            }
            order.status = try order.status.next(.canceled)
            try OrderStore.save(&order, in: tx)
            try OrderStore.history(id, "canceled", actor: actor, reason: reason, in: tx)
            try outbox.append(
                OrderEnded(order: order.facts(token: secret.token(for: "\(id)")), reason: reason), of: "\(id)", version: order.version,
                in: tx)
            return true
        }
    }

    /// Expires or cancels an open order: first the payment is closed at the provider; a capture that is found decides otherwise.
    func close(_ order: OrderRecord, _ reason: CloseReason) async throws {
        var closed: Payment?
        if order.choice != nil {
            do {
                let payment = try await payments.close(order.id, reason)
                closed = payment
                if payment.state == .captured {
                    switch reason {
                    case .expired: _ = try await fulfil(order, payment: payment)
                    case .canceled:
                        try await refuseAndEnd(order, reason, payment)
                        let now = try await find(order.id)
                        if now.status == .canceled { try await giveBack(now, payment, cause: "canceled") }
                    }
                    return
                }
            } catch let problem as Problem where problem.status == 404 {
                // No payment was made.
            }
        }
        try await refuseAndEnd(order, reason, closed)
    }

    private func refuseAndEnd(_ order: OrderRecord, _ reason: CloseReason, _ payment: Payment?) async throws {
        let fulfilment = try await tickets.refuse(order.id, RefusalRequest(eventId: order.eventID, holdId: order.holdID))
        if fulfilment.outcome == .confirmed {
            // It was fulfilled before: then it is a paid order, and follows the rules for those.
            let paid = try await markPaid(order.id, payment)
            if paid.status == .paid, let payment, payment.state == .closed { try await settle(paid, payment) }
            return
        }
        try await end(order.id, as: reason == .expired ? .expired : .canceled, reason: reason.rawValue, payment: payment)
    }

    /// What an order that ended otherwise than paid still has, because something stopped in between: money, a payment that is yet to
    /// be made, tickets.
    func clear(_ order: OrderRecord) async throws {
        var payment = order.choice == nil ? nil : try await payments.payment(of: order.id)
        if payment?.state == .open { payment = try await payments.close(order.id, .canceled) }
        if let payment, payment.state == .captured {
            try await paymentChanged(order.id, payment)
        } else if order.paidAt == nil, try await tickets.tickets(of: order.id).contains(where: { $0.status != .void }) {
            _ = try await refunds.refundAll(order.id, payment, cause: order.status.rawValue)
        }
        // Where the provider refuses, the next turn tries again.
        guard try await refunds.refundOwed(order.id, payment) else { return }
        if let use = order.couponUseID { try await coupons.release(use) }
        try await database.write { tx in
            guard let now = try OrderStore.lock(order.id, in: tx), now.status == order.status else { return }
            try OrderStore.setSettled(order.id, in: tx)
        }
    }

    /// All that was captured and not refunded yet, once for each cause, and all tickets.
    private func giveBack(_ order: OrderRecord, _ payment: Payment?, cause: String) async throws {
        // One that was paid and then canceled has its refund, by the policy that it was canceled under. Where the provider refuses, the
        // reconciler tries again, for the order stays unsettled.
        let isUnderWay =
            order.paidAt == nil
            ? try await refunds.refundAll(order.id, payment, cause: cause) : try await refunds.refundOwed(order.id, payment)
        guard isUnderWay else { return }
        if payment?.state == .captured { try await payments.settle(order.id, .refunded) }
        if order.paidAt == nil, let use = order.couponUseID { try await coupons.release(use) }
        try await database.write { tx in try OrderStore.setSettled(order.id, in: tx) }
    }
}

extension OrderRecord {
    fileprivate func couponBinding(margin: TimeSpan) -> CouponUseBinding {
        CouponUseBinding(orderId: id, email: buyer.email, userId: userID, expiresAt: expiresAt + margin)
    }

    /// Whether the hold has what was ordered, at the prices that were shown, and nothing else.
    fileprivate func isCovered(by hold: Hold) -> Bool {
        let ordered = lines.map { HeldLine(type: $0.ticketTypeId, quantity: $0.quantity, price: $0.unitPrice) }
        return Set(ordered) == Set(hold.lines.map { HeldLine(type: $0.ticketTypeId, quantity: $0.quantity, price: $0.price) })
    }

    private struct HeldLine: Hashable {
        let type: TicketTypeID
        let quantity: Int64
        let price: Money
    }
}

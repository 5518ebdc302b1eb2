import Contracts
import Discovery
import FoundationEssentials
import HTTPTypes
import ServiceKit
import Storage
import Values

/// What a buyer does with a cart before checkout. The hold at TicketManager decides; the cart's lines are what it says.
struct CartFilling: Sendable {
    let database: Database
    let events: EventDirectory
    let tickets: TicketManagerClient
    let coupons: CouponManagerClient
    /// How long a cart's tickets are held, from its first line on.
    let configuration: LiveSettings<SalesManagerConfiguration>

    /// Adds to the cart's hold, or makes it. Each call of TicketManager has a key of its own that follows from the request's, and
    /// says the same whenever it is made: a request that is repeated after a crash goes on where the first one stopped.
    func add(_ line: NewCartLine, to id: CartID, key: IdempotencyKey) async throws -> Reply {
        let (answer, found) = try await database.read { tx -> (Reply?, CartRecord?) in
            if let answer = try Idempotency.answer(to: key, in: tx) { return (answer, nil) }
            return (nil, try CartFilling.open(id, in: tx))
        }
        if let answer { return answer }
        guard var cart = found else { throw Problem.notFound("cart") }
        let lines = [HoldRequestLine(ticketTypeId: line.ticketTypeId, quantity: line.quantity)]
        let callKey = "\(id):\(key.text)"
        let event = if let known = cart.event { known } else { try await event(of: line.ticketTypeId) }
        if cart.holdID == nil {
            let seconds = configuration.cartTime.microseconds / 1_000_000
            let hold = try await tickets.hold(
                NewHold(eventId: event.id, lines: lines, ttlSeconds: seconds, accessCode: line.accessCode), key: callKey + ":hold")
            if let reply = try await save(hold, of: event, to: cart, key: key) { return reply }
            // Another first line was there before: this one is added to its hold.
            try await tickets.release(hold.id)
            cart = try await find(id)
        }
        guard let holdID = cart.holdID else { throw Problem.notFound("cart") }
        let hold = try await tickets.change(
            holdID, HoldChange(lines: lines, isRelative: true, accessCode: line.accessCode), key: callKey + ":change")
        return try await saved(hold, of: event, to: cart, key: key)
    }

    /// Says how many there are to be, so it may be said again, and each time is a new call.
    func set(_ lineID: CartLineID, _ quantity: Int64, in id: CartID) async throws -> Reply {
        let cart = try await open(id)
        guard let line = cart.lines.first(where: { $0.id == lineID }), let holdID = cart.holdID, let event = cart.event else {
            throw Problem.notFound("line in this cart")
        }
        let hold = try await tickets.change(
            holdID, HoldChange(lines: [HoldRequestLine(ticketTypeId: line.ticketTypeID, quantity: quantity)]),
            key: "\(id):\(UUID().uuidString)")
        return try await saved(hold, of: event, to: cart, key: nil)
    }

    func empty(_ id: CartID) async throws {
        let cart = try await find(id)
        guard cart.state == .open else { return }
        if let hold = cart.holdID { try await tickets.release(hold) }
        if let use = cart.couponUseID { try await coupons.release(use) }
        try await database.write { tx in
            _ = try tx.execute("UPDATE cart SET expires_at = \(tx.now) WHERE id = \(id) AND state = 'open'")
        }
    }

    /// The new use is reserved before the old one is let go, so that a code that does not apply changes nothing.
    func setCoupon(_ code: String, of id: CartID) async throws -> Reply {
        let cart = try await open(id)
        guard let event = cart.event, !cart.lines.isEmpty else {
            throw Problem.conflict("cart-empty", "The cart is empty", "Choose tickets first, then enter the code.")
        }
        let use = try await coupons.reserve(
            NewCouponUse(
                code: code, cartId: id, organizerId: event.organizerID, eventId: event.id, currency: event.currency,
                lines: cart.discountable, expiresAt: cart.expiresAt))
        let (reply, old) = try await save(use, cart.discounts(use), of: cart)
        if let old, old != use.id { try await coupons.release(old) }
        return reply
    }

    func removeCoupon(of id: CartID) async throws -> Reply {
        let cart = try await open(id)
        let (reply, old) = try await save(nil, [:], of: cart)
        if let old { try await coupons.release(old) }
        return reply
    }

    private func find(_ id: CartID) async throws -> CartRecord {
        guard let cart = try await database.read({ tx in try CartStore.find(id, in: tx) }) else { throw Problem.notFound("cart") }
        return cart
    }

    private func open(_ id: CartID) async throws -> CartRecord {
        try await database.read { tx in try CartFilling.open(id, in: tx) }
    }

    private static func open(_ id: CartID, in tx: Transaction) throws -> CartRecord {
        guard let cart = try CartStore.find(id, in: tx) else { throw Problem.notFound("cart") }
        try cart.mustBeOpen(at: try tx.now)
        return cart
    }

    private func event(of type: TicketTypeID) async throws -> EventFacts {
        try await events.facts(try await tickets.ticketType(type).eventId)
    }

    /// Makes the cart's lines those of the hold. Nil where the cart has another one.
    private func save(_ hold: Hold, of event: EventFacts, to cart: CartRecord, key: IdempotencyKey?) async throws -> Reply? {
        var cart = cart
        while true {
            let use = cart.couponUseID
            let discounts = try await discounts(of: hold, use)
            let saved = try await database.write { [id = cart.id] tx -> Saved in
                guard let before = try CartStore.lock(id, in: tx) else { throw Problem.notFound("cart") }
                if let other = before.holdID, other != hold.id { return .heldOtherwise }
                // A discount is that of the coupon which the cart has now, on the lines that it has now.
                guard before.couponUseID == use else { return .couponChanged }
                let reply = try Idempotency.once(key, in: tx) {
                    let after = try CartStore.save(hold, of: event, discounts: discounts, to: before, in: tx)
                    return try .ok(after.wire(at: try tx.now))
                }
                return .reply(reply)
            }
            switch saved {
            case .reply(let reply): return reply
            case .heldOtherwise: return nil
            case .couponChanged: cart = try await find(cart.id)
            }
        }
    }

    /// For a hold that is the cart's: a cart never changes it for another.
    private func saved(_ hold: Hold, of event: EventFacts, to cart: CartRecord, key: IdempotencyKey?) async throws -> Reply {
        guard let reply = try await save(hold, of: event, to: cart, key: key) else { throw Problem.notFound("cart") }
        return reply
    }

    private enum Saved: Sendable {
        case reply(Reply)
        /// Another request made the cart's hold meanwhile.
        case heldOtherwise
        case couponChanged
    }

    private func discounts(of hold: Hold, _ use: CouponUseID?) async throws -> [TicketTypeID: Int64] {
        guard let use else { return [:] }
        let lines = hold.lines.map { DiscountableLine(ticketTypeId: $0.ticketTypeId, quantity: $0.quantity, unitPrice: $0.price.amount) }
        let evaluated = try await coupons.evaluate(use, lines)
        return Dictionary(zip(lines.map(\.ticketTypeId), evaluated.discounts)) { $1 }
    }

    /// - Parameter cart: whose lines the discounts were reckoned for. If it has others by now, they are not for them.
    /// - Returns: also the use that the cart had before.
    private func save(
        _ use: CouponUse?, _ discounts: [TicketTypeID: Int64], of cart: CartRecord
    ) async throws -> (Reply, old: CouponUseID?) {
        try await database.write { tx in
            guard let before = try CartStore.lock(cart.id, in: tx) else { throw Problem.notFound("cart") }
            try before.mustBeOpen(at: try tx.now)
            guard use == nil || before.holdVersion == cart.holdVersion else {
                throw Problem.conflict("cart-changed", "The cart was changed at this moment", "Look at it, and enter the code again.")
            }
            try CartStore.setCoupon(use, discounts: discounts, of: cart.id, in: tx)
            guard let after = try CartStore.find(cart.id, in: tx) else { throw Problem.notFound("cart") }
            return (try .ok(after.wire(at: try tx.now)), before.couponUseID)
        }
    }
}

extension CartRecord {
    var discountable: [DiscountableLine] {
        lines.map { DiscountableLine(ticketTypeId: $0.ticketTypeID, quantity: $0.quantity, unitPrice: $0.unitPrice) }
    }

    func discounts(_ use: CouponUse) -> [TicketTypeID: Int64] {
        Dictionary(zip(lines.map(\.ticketTypeID), use.discounts)) { $1 }
    }

    func mustBeOpen(at now: Instant) throws {
        guard state == .open else {
            throw Problem.conflict("cart-ordered", "This cart was checked out", "Its order exists; start a new cart for more.")
        }
        guard now < expiresAt else {
            throw Problem.conflict("cart-expired", "The time for this cart is over", "Its tickets went back on sale; start a new cart.")
        }
    }
}

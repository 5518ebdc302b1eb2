import Contracts
import Discovery
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

    func add(_ line: NewCartLine, to id: CartID, key: IdempotencyKey) async throws -> Reply {
        let (answer, cart) = try await database.read { tx in
            (try Idempotency.answer(to: key, in: tx), try CartStore.find(id, in: tx))
        }
        if let answer { return answer }
        guard let cart else { throw Problem.notFound("cart") }
        try cart.mustBeOpen()
        let hold = try await hold(line, for: cart, key: key.text)
        return try await save(hold, to: id, key: key)
    }

    func set(_ lineID: CartLineID, _ quantity: Int64, in id: CartID, key: String) async throws -> Reply {
        let cart = try await find(id)
        try cart.mustBeOpen()
        guard let line = cart.lines.first(where: { $0.id == lineID }), let holdID = cart.holdID else {
            throw Problem.notFound("line in this cart")
        }
        let hold = try await tickets.change(
            holdID, HoldChange(lines: [HoldRequestLine(ticketTypeId: line.ticketTypeID, quantity: quantity)]), key: "\(id):\(key)")
        return try await save(hold, to: id, key: nil)
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
        let cart = try await find(id)
        try cart.mustBeOpen()
        guard let event = cart.event, !cart.lines.isEmpty else {
            throw Problem.conflict("cart-empty", "The cart is empty", "Choose tickets first, then enter the code.")
        }
        let use = try await coupons.reserve(
            NewCouponUse(
                code: code, cartId: id, organizerId: event.organizerID, eventId: event.id, currency: event.currency,
                lines: cart.discountable, expiresAt: cart.expiresAt))
        let reply = try await save(use, cart.discounts(use), of: id)
        if let old = cart.couponUseID, old != use.id { try await coupons.release(old) }
        return reply
    }

    func removeCoupon(of id: CartID) async throws -> Reply {
        let cart = try await find(id)
        try cart.mustBeOpen()
        let reply = try await save(nil, [:], of: id)
        if let use = cart.couponUseID { try await coupons.release(use) }
        return reply
    }

    private func find(_ id: CartID) async throws -> CartRecord {
        guard let cart = try await database.read({ tx in try CartStore.find(id, in: tx) }) else { throw Problem.notFound("cart") }
        return cart
    }

    /// Adds to the cart's hold, or makes it. Two first lines at once make two holds: the later one is let go and its line added to the earlier.
    private func hold(_ line: NewCartLine, for cart: CartRecord, key: String) async throws -> Hold {
        let lines = [HoldRequestLine(ticketTypeId: line.ticketTypeId, quantity: line.quantity)]
        let change = HoldChange(lines: lines, isRelative: true, accessCode: line.accessCode)
        let callKey = "\(cart.id):\(key)"
        if let holdID = cart.holdID { return try await tickets.change(holdID, change, key: callKey) }
        let event: EventFacts
        if let known = cart.event {
            event = known
        } else {
            event = try await events.facts(try await tickets.ticketType(line.ticketTypeId).eventId)
        }
        let seconds = max(1, (cart.expiresAt - .now).microseconds / 1_000_000)
        let hold = try await tickets.hold(
            NewHold(eventId: event.id, lines: lines, ttlSeconds: min(seconds, 3_600), accessCode: line.accessCode), key: callKey)
        let attached = try await database.write { tx -> HoldID? in
            if try CartStore.attach(hold, to: cart.id, in: tx) { return hold.id }
            return try CartStore.find(cart.id, in: tx)?.holdID
        }
        guard let attached, attached != hold.id else { return hold }
        try await tickets.release(hold.id)
        return try await tickets.change(attached, change, key: callKey + ":again")
    }

    private func save(_ hold: Hold, to id: CartID, key: IdempotencyKey?) async throws -> Reply {
        let cart = try await find(id)
        var discounts: [TicketTypeID: Int64] = [:]
        if let use = cart.couponUseID {
            let lines = hold.lines.map {
                DiscountableLine(ticketTypeId: $0.ticketTypeId, quantity: $0.quantity, unitPrice: $0.price.amount)
            }
            let evaluated = try await coupons.evaluate(use, lines)
            discounts = Dictionary(zip(lines.map(\.ticketTypeId), evaluated.discounts)) { $1 }
        }
        let applied = discounts
        return try await database.write { tx in
            try Idempotency.once(key, in: tx) {
                guard let before = try CartStore.lock(id, in: tx) else { throw Problem.notFound("cart") }
                try CartStore.save(hold, discounts: applied, to: before, in: tx)
                guard let after = try CartStore.find(id, in: tx) else { throw Problem.notFound("cart") }
                return try .ok(after.wire(at: try tx.now))
            }
        }
    }

    private func save(_ use: CouponUse?, _ discounts: [TicketTypeID: Int64], of id: CartID) async throws -> Reply {
        try await database.write { tx in
            guard let before = try CartStore.lock(id, in: tx) else { throw Problem.notFound("cart") }
            try before.mustBeOpen()
            try CartStore.setCoupon(use, discounts: discounts, of: id, in: tx)
            guard let after = try CartStore.find(id, in: tx) else { throw Problem.notFound("cart") }
            return try .ok(after.wire(at: try tx.now))
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

    func mustBeOpen() throws {
        guard state == .open else {
            throw Problem.conflict("cart-ordered", "This cart was checked out", "Its order exists; start a new cart for more.")
        }
        guard expiresAt > .now else {
            throw Problem.conflict("cart-expired", "The time for this cart is over", "Its tickets went back on sale; start a new cart.")
        }
    }
}

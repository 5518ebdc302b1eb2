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
    /// The same in every request for one hold, so that a repeated one is the same request.
    let holdTime: TimeSpan

    func add(_ line: NewCartLine, to id: CartID, key: IdempotencyKey) async throws -> Reply {
        let (answer, cart) = try await database.read { tx in
            (try Idempotency.answer(to: key, in: tx), try CartStore.find(id, in: tx))
        }
        if let answer { return answer }
        guard let cart else { throw Problem.notFound("cart") }
        try cart.mustBeOpen()
        let hold = try await hold(line, for: cart, key: key.text)
        return try await save(hold, to: cart, key: key)
    }

    func set(_ lineID: CartLineID, _ quantity: Int64, in id: CartID, key: String) async throws -> Reply {
        let cart = try await find(id)
        try cart.mustBeOpen()
        guard let line = cart.lines.first(where: { $0.id == lineID }), let holdID = cart.holdID else {
            throw Problem.notFound("line in this cart")
        }
        let hold = try await tickets.change(
            holdID, HoldChange(lines: [HoldRequestLine(ticketTypeId: line.ticketTypeID, quantity: quantity)]), key: "\(id):\(key)")
        return try await save(hold, to: cart, key: nil)
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

    /// Adds to the cart's hold, or makes it.
    private func hold(_ line: NewCartLine, for cart: CartRecord, key: String) async throws -> Hold {
        let lines = [HoldRequestLine(ticketTypeId: line.ticketTypeId, quantity: line.quantity)]
        if let holdID = cart.holdID {
            return try await tickets.change(
                holdID, HoldChange(lines: lines, isRelative: true, accessCode: line.accessCode), key: "\(cart.id):\(key)")
        }
        let event: EventFacts
        if let known = cart.event {
            event = known
        } else {
            event = try await events.facts(try await tickets.ticketType(line.ticketTypeId).eventId)
        }
        return try await tickets.hold(
            NewHold(eventId: event.id, lines: lines, ttlSeconds: holdTime.microseconds / 1_000_000, accessCode: line.accessCode),
            key: "\(cart.id):\(key)")
    }

    /// Makes the cart's lines those of the hold. Two first lines at once make two holds: the later one is let go, and its lines are
    /// added to the earlier.
    private func save(_ hold: Hold, to cart: CartRecord, key: IdempotencyKey?) async throws -> Reply {
        let discounts = try await discounts(of: hold, in: cart)
        let saved = try await database.write { tx -> Saved in
            guard let before = try CartStore.lock(cart.id, in: tx) else { throw Problem.notFound("cart") }
            if let other = before.holdID, other != hold.id { return .heldOtherwise(other) }
            let reply = try Idempotency.once(key, in: tx) {
                if before.holdID == nil { try CartStore.attach(hold, to: cart.id, in: tx) }
                try CartStore.save(hold, discounts: discounts, to: before, in: tx)
                guard let after = try CartStore.find(cart.id, in: tx) else { throw Problem.notFound("cart") }
                return try .ok(after.wire(at: try tx.now))
            }
            return .reply(reply)
        }
        switch saved {
        case .reply(let reply): return reply
        case .heldOtherwise(let other):
            try await tickets.release(hold.id)
            let lines = hold.lines.map { HoldRequestLine(ticketTypeId: $0.ticketTypeId, quantity: $0.quantity) }
            let merged = try await tickets.change(other, HoldChange(lines: lines, isRelative: true), key: "\(cart.id):\(hold.id)")
            return try await save(merged, to: try await find(cart.id), key: key)
        }
    }

    private enum Saved: Sendable {
        case reply(Reply)
        /// Another request made the cart's hold meanwhile.
        case heldOtherwise(HoldID)
    }

    private func discounts(of hold: Hold, in cart: CartRecord) async throws -> [TicketTypeID: Int64] {
        guard let use = cart.couponUseID else { return [:] }
        let lines = hold.lines.map { DiscountableLine(ticketTypeId: $0.ticketTypeId, quantity: $0.quantity, unitPrice: $0.price.amount) }
        let evaluated = try await coupons.evaluate(use, lines)
        return Dictionary(zip(lines.map(\.ticketTypeId), evaluated.discounts)) { $1 }
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

import Contracts
import Discovery
import HTTPTypes
import ServiceKit
import Storage
import Values

/// Carts. Each is reached with its secret alone.
struct CartRoutes: Sendable {
    let database: Database
    let secret: LinkSecret
    let events: EventDirectory
    let filling: CartFilling
    let checkout: Checkout
    let configuration: LiveSettings<SalesManagerConfiguration>

    var endpoints: [Endpoint] {
        [
            Endpoint(SalesManagerRoutes.createCart, create),
            Endpoint(SalesManagerRoutes.cart, show),
            Endpoint(SalesManagerRoutes.deleteCart, delete),
            Endpoint(SalesManagerRoutes.addLine, addLine),
            Endpoint(SalesManagerRoutes.changeLine, changeLine),
            Endpoint(SalesManagerRoutes.removeLine, removeLine),
            Endpoint(SalesManagerRoutes.setCoupon, setCoupon),
            Endpoint(SalesManagerRoutes.removeCoupon, removeCoupon),
            Endpoint(SalesManagerRoutes.checkout, checkOut),
        ]
    }

    /// A stranger's request has nobody to remember a key for, so it takes none: an empty cart that is made twice costs nobody anything.
    @Sendable private func create(_ call: Call) async throws -> Reply {
        let body = try call.body(NewCart.self)
        let event = if let id = body.eventId { try await events.facts(id) as EventFacts? } else { EventFacts?.none }
        let id = CartID()
        let token = secret.token(for: "\(id)")
        let time = configuration.cartTime
        return try await database.write { tx in
            let now = try tx.now
            let cart = CartRecord(id: id, event: event, state: .open, holdVersion: 0, expiresAt: now + time, lines: [])
            try CartStore.insert(cart, at: now, in: tx)
            return try .created(cart.wire(at: now, token: token), at: "/api/v1/carts/\(id)")
        }
    }

    @Sendable private func show(_ call: Call) async throws -> Reply {
        let id = try authorized(call)
        return try await database.read { tx in
            guard let cart = try CartStore.find(id, in: tx) else { throw Problem.notFound("cart") }
            let order = cart.state == .ordered ? try OrderStore.id(ofCart: id, in: tx) : nil
            return try .ok(cart.wire(at: try tx.now, order: order))
        }
    }

    /// Gives everything back at once.
    @Sendable private func delete(_ call: Call) async throws -> Reply {
        try await filling.empty(try authorized(call))
        return .noContent
    }

    @Sendable private func addLine(_ call: Call) async throws -> Reply {
        let id = try authorized(call)
        let body = try call.body(NewCartLine.self)
        try CartRoutes.validate(body.quantity, 1...1_000)
        guard (body.accessCode?.count ?? 0) <= 100 else { throw Problem.invalid("accessCode", "must be at most 100 characters long") }
        return try await filling.add(body, to: id, key: try call.idempotencyKey())
    }

    @Sendable private func changeLine(_ call: Call) async throws -> Reply {
        let id = try authorized(call)
        let body = try call.body(CartLineChange.self)
        try CartRoutes.validate(body.quantity, 0...1_000)
        return try await filling.set(try call.id("lineId"), body.quantity, in: id)
    }

    @Sendable private func removeLine(_ call: Call) async throws -> Reply {
        let id = try authorized(call)
        return try await filling.set(try call.id("lineId"), 0, in: id)
    }

    @Sendable private func setCoupon(_ call: Call) async throws -> Reply {
        let id = try authorized(call)
        let body = try call.body(CouponEntry.self)
        guard (1...100).contains(body.code.count) else { throw Problem.invalid("code", "must be 1 to 100 characters long") }
        return try await filling.setCoupon(body.code, of: id)
    }

    @Sendable private func removeCoupon(_ call: Call) async throws -> Reply {
        try await filling.removeCoupon(of: try authorized(call))
    }

    @Sendable private func checkOut(_ call: Call) async throws -> Reply {
        let id = try authorized(call)
        let body = try call.body(CheckoutRequest.self)
        try body.validate()
        return try await checkout.checkOut(id, body, user: call.identity.user?.id, key: try call.idempotencyKey())
    }

    private func authorized(_ call: Call) throws -> CartID {
        let id: CartID = try call.id("id")
        guard secret.accepts(call.headers[.cartToken], for: "\(id)") else { throw Problem.notFound("cart") }
        return id
    }

    private static func validate(_ quantity: Int64, _ range: ClosedRange<Int64>) throws {
        guard range.contains(quantity) else {
            throw Problem.invalid("quantity", "must be from \(range.lowerBound) to \(range.upperBound)")
        }
    }
}

extension CheckoutRequest {
    fileprivate func validate() throws {
        var validation = Validation()
        validation.text(buyer.name, "buyer.name", atMost: 200)
        validation.email(buyer.email, "buyer.email")
        validation.text(buyer.locale, "buyer.locale", atMost: 35)
        validation.text(buyer.phone, "buyer.phone", atMost: 50)
        for (index, attendee) in (attendees ?? []).enumerated() {
            validation.text(attendee.name, "attendees[\(index)].name", atMost: 200)
            validation.email(attendee.email, "attendees[\(index)].email")
        }
        validation.check((attendees?.count ?? 0) <= 1_000, "attendees", "must be at most 1,000")
        validation.text(payment?.provider, "payment.provider", atMost: 50)
        validation.text(payment?.method, "payment.method", atMost: 500)
        validation.text(payment?.returnURL, "payment.returnURL", atMost: 2_000)
        try validation.end()
    }
}

import Contracts
import Discovery
import Foundation
import Testing
import Values

/// Somebody with an account.
struct Account: Sendable {
    let user: User
    let password: String
    let token: String

    var caller: Caller { .bearer(token) }
}

/// An event on sale: everything that a buyer needs to find, and who runs it.
struct Shop: Sendable {
    let program: RunningProgram
    let owner: Account
    let organizer: Organizer
    let event: Event
    let pool: Pool
    let type: TicketType
}

extension RunningProgram {
    static let password = "correct horse battery staple"

    /// Registers somebody and signs them in.
    func account(_ name: String = "Ada", email: String? = nil) async throws -> Account {
        let email = email ?? "\(name.lowercased().filter(\.isLetter))-\(UUID().uuidString.prefix(8).lowercased())@example.org"
        try await done(
            AuthenticationRoutes.register, body: Registration(email: email, password: RunningProgram.password, name: name))
        return try await signIn(email, RunningProgram.password)
    }

    /// The same for somebody who has followed the link in the mail.
    func verifiedAccount(_ name: String) async throws -> Account {
        let account = try await account(name)
        try await verify(account)
        return try await signIn(account.user.email, account.password)
    }

    /// With the code of the mail that registering causes.
    func verify(_ account: Account) async throws {
        let mail = try await eventually("the mail is there") {
            try await mails(to: account.user.email).first { $0.subject.contains("Confirm") }
        }
        let token = try #require(
            mail.text.split(whereSeparator: \.isWhitespace).first {
                $0.count >= 20 && $0.allSatisfy { $0.isLetter || $0.isNumber || "-_".contains($0) }
            })
        try await done(AuthenticationRoutes.verifyEmail, body: VerifyEmailRequest(token: String(token)))
    }

    func signIn(_ email: String, _ password: String) async throws -> Account {
        let session: Session = try await ask(AuthenticationRoutes.login, body: Credentials(email: email, password: password))
        return Account(user: session.user, password: password, token: session.accessToken)
    }

    /// The first administrator, with the password that the program told at its first start.
    func administrator() async throws -> Account {
        func word(after label: String) throws -> String {
            let line = try #require(output.split(separator: "\n").first { $0.contains("  \(label) ") })
            return String(try #require(line.split(separator: " ").last))
        }
        return try await signIn(try word(after: "address"), try word(after: "password"))
    }

    /// An organizer with a published event, one pool and one ticket type on sale.
    func shop(
        capacity: Int64 = 100, price: Int64 = 4_500, owner: Account? = nil, event: String = "Night of Tests",
        change: (inout NewTicketType) -> Void = { _ in }
    ) async throws -> Shop {
        let owner = if let owner { owner } else { try await account("Olga Owner") }
        let organizer: Organizer = try await ask(
            EventManagerRoutes.createOrganizer, as: owner.caller, body: NewOrganizer(name: "Test Hall", email: "hall@example.org"))
        let draft = try await newEvent(of: organizer, by: owner, named: event)
        let pool: Pool = try await ask(
            TicketManagerRoutes.createPool, ["\(draft.id)"], as: owner.caller, body: NewPool(name: "Hall", capacity: capacity))
        var new = NewTicketType(name: "Standard", price: Money(price, .eur), poolIds: [pool.id])
        change(&new)
        let type: TicketType = try await ask(TicketManagerRoutes.createTicketType, ["\(draft.id)"], as: owner.caller, body: new)
        let published: Event = try await ask(EventManagerRoutes.publishEvent, ["\(draft.id)"], as: owner.caller)
        return Shop(program: self, owner: owner, organizer: organizer, event: published, pool: pool, type: type)
    }

    func newEvent(of organizer: Organizer, by owner: Account, named name: String) async throws -> Event {
        let venue: Venue = try await ask(
            EventManagerRoutes.createVenue, as: owner.caller,
            body: NewVenue(organizerId: organizer.id, name: "Test Hall", street: "Ring 1", city: "Wien", country: "AT"))
        return try await ask(
            EventManagerRoutes.createEvent, as: owner.caller,
            body: NewEvent(
                organizerId: organizer.id, name: name, summary: "An evening", description: "*Very* nice.",
                startsAt: "2030-06-01T19:30:00", endsAt: "2030-06-01T23:00:00", timeZone: "Europe/Vienna", venueId: venue.id,
                currency: .eur))
    }

    /// An empty cart.
    func cart(for event: EventID? = nil) async throws -> ShoppingCart {
        let cart: Cart = try await ask(SalesManagerRoutes.createCart, body: NewCart(eventId: event))
        return ShoppingCart(program: self, id: cart.id, token: try #require(cart.token), expiresAt: cart.expiresAt)
    }

    func order(_ order: Purchase) async throws -> Order {
        try await ask(SalesManagerRoutes.order, ["\(order.id)"], as: order.caller)
    }

    func ledger(_ order: Purchase) async throws -> [LedgerEntry] {
        try await ask(PaymentProcessingRoutes.ledger, ["\(order.id)"], as: order.caller, for: LedgerAnswer.self).items
    }
}

extension [LedgerEntry] {
    /// How often money was taken, and how often given back.
    func movements(_ kind: String) -> Set<String> { Set(filter { $0.kind == kind }.map(\.movementId)) }
    /// What the buyer is out of pocket.
    var paidByBuyer: Int64 { -filter { $0.account == "buyer" }.reduce(0) { $0 + $1.amount.amount } }
    var isBalanced: Bool { reduce(0) { $0 + $1.amount.amount } == 0 }
}

extension Shop {
    func hire(_ role: Role) async throws -> Account {
        let account = try await program.verifiedAccount("\(role)".capitalized)
        try await program.done(
            AuthenticationRoutes.addMember, ["\(organizer.id)"], as: owner.caller, body: NewMember(email: account.user.email, role: role))
        return account
    }

    /// Another ticket type of the same event.
    func ticketType(
        _ name: String, price: Int64 = 4_500, pools: [PoolID]? = nil, maxPerOrder: Int64? = nil
    ) async throws -> TicketType {
        var new = NewTicketType(name: name, price: Money(price, .eur), poolIds: pools ?? [pool.id])
        new.maxPerOrder = maxPerOrder
        return try await program.ask(TicketManagerRoutes.createTicketType, ["\(event.id)"], as: owner.caller, body: new)
    }

    func addPool(_ name: String, capacity: Int64) async throws -> Pool {
        try await program.ask(
            TicketManagerRoutes.createPool, ["\(event.id)"], as: owner.caller, body: NewPool(name: name, capacity: capacity))
    }

    func coupon(_ code: String, percent: Int64 = 10, change: (inout NewCoupon) -> Void = { _ in }) async throws -> Coupon {
        var new = NewCoupon(organizerId: organizer.id, code: code, name: code, discount: Discount(percent: percent))
        change(&new)
        return try await program.ask(CouponManagerRoutes.createCoupon, as: owner.caller, body: new)
    }

    /// How the pool stands.
    func stock(_ id: PoolID? = nil) async throws -> Pool {
        let pools: Listed<Pool> = try await program.ask(TicketManagerRoutes.pools, ["\(event.id)"], as: owner.caller)
        return try #require(pools.items.first { $0.id == id ?? pool.id })
    }

    func availability(of id: TicketTypeID? = nil) async throws -> Availability {
        let list: Listed<Availability> = try await program.ask(TicketManagerRoutes.availability, ["\(event.id)"])
        return try #require(list.items.first { $0.ticketTypeId == id ?? type.id })
    }

    /// A cart with tickets in it.
    func cart(_ quantity: Int64 = 1, of id: TicketTypeID? = nil) async throws -> ShoppingCart {
        let cart = try await program.cart(for: event.id)
        try await cart.fill(quantity, of: id ?? type.id)
        return cart
    }

    /// A whole purchase, with a card that is charged at once.
    func buy(_ quantity: Int64 = 1, card: String = Card.captures, buyer: Buyer = .ada) async throws -> Purchase {
        try await cart(quantity).buy(card: card, buyer: buyer)
    }

    /// One that has its tickets.
    func paid(_ quantity: Int64 = 1, buyer: Buyer = .ada) async throws -> (purchase: Purchase, order: Order) {
        let purchase = try await buy(quantity, buyer: buyer)
        let order = try await program.order(purchase)
        #expect(order.status == .paid && order.tickets.count == Int(quantity))
        return (purchase, order)
    }
}

/// A page of any list.
struct Listed<Item: Decodable & Sendable>: Decodable, Sendable {
    var items: [Item]
    var next: String?
}

/// Test numbers of the sandbox.
enum Card {
    static let captures = "4242424242424242"
    static let isDeclined = "4000000000000002"
    static let hasNoMoney = "4000000000009995"
    static let wantsConfirmation = "4000002500003155"
}

extension Buyer {
    static let ada = Buyer(email: "ada@example.org", name: "Ada Lovelace")
}

extension CheckoutRequest {
    static func paying(_ card: String?, _ buyer: Buyer = .ada) -> CheckoutRequest {
        CheckoutRequest(buyer: buyer, payment: card.map { PaymentChoice(provider: "sandbox", method: $0) })
    }
}

/// A cart and its secret.
struct ShoppingCart: Sendable {
    let program: RunningProgram
    let id: CartID
    let token: String
    let expiresAt: Instant

    var caller: Caller { .cart(token) }

    func add(_ quantity: Int64 = 1, of type: TicketTypeID, key: String = UUID().uuidString) async throws -> Answer {
        try await program.call(
            SalesManagerRoutes.addLine, ["\(id)"], as: caller, key: key, body: NewCartLine(ticketTypeId: type, quantity: quantity))
    }

    @discardableResult
    func fill(_ quantity: Int64 = 1, of type: TicketTypeID) async throws -> Cart {
        try await program.ask(
            SalesManagerRoutes.addLine, ["\(id)"], as: caller, key: UUID().uuidString,
            body: NewCartLine(ticketTypeId: type, quantity: quantity))
    }

    func show() async throws -> Cart {
        try await program.ask(SalesManagerRoutes.cart, ["\(id)"], as: caller)
    }

    func enter(_ code: String) async throws -> Answer {
        try await program.call(SalesManagerRoutes.setCoupon, ["\(id)"], as: caller, body: CouponEntry(code: code))
    }

    func checkOut(card: String? = Card.captures, buyer: Buyer = .ada, key: String = UUID().uuidString) async throws -> Answer {
        try await program.call(SalesManagerRoutes.checkout, ["\(id)"], as: caller, key: key, body: CheckoutRequest.paying(card, buyer))
    }

    func buy(card: String? = Card.captures, buyer: Buyer = .ada) async throws -> Purchase {
        let answer = try await checkOut(card: card, buyer: buyer)
        guard answer.status == 201 else { throw UnexpectedAnswer(request: "checkout", answer: answer) }
        return Purchase(try answer.json())
    }

    func abandon() async throws {
        try await program.done(SalesManagerRoutes.deleteCart, ["\(id)"], as: caller)
    }
}

/// An order and its secret.
struct Purchase: Sendable {
    let id: OrderID
    let token: String
    /// As checkout answered.
    let order: Order
    let payment: Payment?

    init(_ answer: CheckoutAnswer) {
        id = answer.order.id
        token = answer.orderToken
        order = answer.order
        payment = answer.payment
    }

    var caller: Caller { .order(token) }
}

import Contracts
import Discovery
import Foundation
import HTTPTypes
import Testing
import Values

/// Whose an operation is.
enum Right: Sendable {
    case anyone
    /// Any signed-in user; what they see is their own.
    case signedIn
    /// Staff who have at least this role.
    case staff(Role)
    /// Who has the cart's secret.
    case cart
    /// The order's buyer, by its secret or by account.
    case buyer
    /// Who knows something that cannot be guessed, or has signed the body.
    case knowing
}

/// An operation with a request that is right: what the tests of wrong callers and of bad bodies start from.
struct Operation: Sendable, CustomTestStringConvertible {
    let route: Route
    let right: Right
    var parameters: [String] = []
    var query = ""
    var body: (any Encodable & Sendable)?
    /// In the body or the query, whose owner decides; the parameters are always.
    var subjects: [String] = []
    var needsKey = false

    init(
        _ route: Route, _ right: Right, _ parameters: [String] = [], query: String = "", body: (any Encodable & Sendable)? = nil,
        subjects: [String] = [], needsKey: Bool = false
    ) {
        self.route = route
        self.right = right
        self.parameters = parameters
        self.query = query
        self.body = body
        self.subjects = subjects
        self.needsKey = needsKey
    }

    var name: String { "\(route.method) \(route.path)" }
    var testDescription: String { name }

    func text() throws -> String? { try body.map { try JSON.text(of: $0) } }
}

/// A shop with everything in it that an operation may be about, its staff, its customers, and others who have no business there.
struct World: Sendable {
    let program: RunningProgram
    let shop: Shop
    let staff: [Role: Account]
    /// A buyer with an account, their order with two tickets, an order that waits for its payment, and a cart.
    let buyer: Account
    let order: Order
    let orderToken: String
    let unpaid: Purchase
    let unpaidToken: String
    let cart: ShoppingCart
    let line: CartLineID
    let coupon: Coupon
    let venue: Venue
    let charge: String
    /// Things to be deleted, canceled, or changed beyond repair.
    let draft: Event
    let canceled: Event
    let spareCart: ShoppingCart
    let sparePool: Pool
    let spareType: TicketType
    let spareCoupon: Coupon
    let spareMember: Account
    let newcomer: Account
    let spareOrder: Order
    let spareOrderToken: String
    let session: Session
    let apiKey: ApiKey
    /// Another organizer's owner, another buyer and their secrets.
    let rival: Shop
    let otherBuyer: Account
    let otherCart: ShoppingCart
    let otherOrder: Purchase

    init(_ program: RunningProgram) async throws {
        self.program = program
        shop = try await program.shop(event: "Ours")
        staff = [
            .owner: shop.owner, .manager: try await shop.hire(.manager), .door: try await shop.hire(.door),
            .analyst: try await shop.hire(.analyst),
        ]
        buyer = try await program.account("Bea")
        let bea = Buyer(email: buyer.user.email, name: "Bea")
        let ours = shop
        let token = buyer.caller.fields
        func buy(_ card: String, _ quantity: Int64) async throws -> Purchase {
            let cart = try await ours.cart(quantity)
            let caller = Caller(fields: cart.caller.fields.merging(token) { $1 })
            let answer = try await program.done(
                SalesManagerRoutes.checkout, ["\(cart.id)"], as: caller, key: "buy \(cart.id)", body: CheckoutRequest.paying(card, bea))
            return Purchase(try answer.json())
        }
        let paid = try await buy(Card.captures, 2)
        order = try await program.order(paid)
        orderToken = paid.token
        unpaid = try await buy(Card.isDeclined, 1)
        unpaidToken = unpaid.token
        let spare = try await buy(Card.captures, 1)
        spareOrder = try await program.order(spare)
        spareOrderToken = spare.token
        let confirming = try await buy(Card.wantsConfirmation, 1)
        charge = String(try #require(confirming.payment?.action?.url?.split(separator: "/").dropLast().last))
        cart = try await shop.cart()
        line = try #require(try await cart.show().lines.first?.id)
        spareCart = try await shop.cart()
        coupon = try await shop.coupon("OURS")
        spareCoupon = try await shop.coupon("SPARE")
        venue = try #require(shop.event.venue)
        draft = try await program.newEvent(of: shop.organizer, by: shop.owner, named: "Draft")
        let announced = try await program.newEvent(of: shop.organizer, by: shop.owner, named: "Canceled")
        canceled = try await program.ask(EventManagerRoutes.publishEvent, ["\(announced.id)"], as: shop.owner.caller)
        sparePool = try await shop.addPool("Spare", capacity: 5)
        spareType = try await shop.ticketType("Spare")
        spareMember = try await shop.hire(.door)
        newcomer = try await program.verifiedAccount("Nina")
        session = try await program.ask(
            AuthenticationRoutes.login, body: Credentials(email: buyer.user.email, password: buyer.password))
        let made: MadeApiKey = try await program.ask(
            AuthenticationRoutes.makeApiKey, as: buyer.caller, body: NewApiKey(name: "Spare", scopes: [.read, .write]))
        apiKey = made.apiKey
        rival = try await program.shop(event: "Theirs")
        otherBuyer = try await program.account("Ben")
        otherCart = try await rival.cart()
        otherOrder = try await rival.buy()
    }

    /// One for each public operation, in an order in which all of them can be done one after the other.
    var operations: [Operation] {
        eventOperations + ticketOperations + couponOperations + paymentOperations + reportOperations + accountOperations + salesOperations
            + lastOperations
    }

    private var organizer: String { "\(shop.organizer.id)" }
    private var event: String { "\(shop.event.id)" }
    private var type: String { "\(shop.type.id)" }
    private var pool: String { "\(shop.pool.id)" }

    private var eventOperations: [Operation] {
        typealias Routes = EventManagerRoutes
        let refundPolicy = RefundPolicy(until: Instant("2030-05-01T00:00:00Z")!, feesRefunded: true)
        return [
            Operation(Routes.createOrganizer, .signedIn, body: NewOrganizer(name: "New", email: "new@example.org")),
            Operation(Routes.organizers, .anyone),
            Operation(Routes.organizer, .anyone, [organizer]),
            Operation(
                Routes.changeOrganizer, .staff(.owner), [organizer], body: OrganizerChange(name: "Test Hall", email: "h@example.org")),
            Operation(
                Routes.createVenue, .staff(.manager),
                body: NewVenue(organizerId: shop.organizer.id, name: "Club", street: "Ring 2", city: "Wien", country: "AT"),
                subjects: [organizer]),
            Operation(Routes.venues, .anyone),
            Operation(Routes.venue, .anyone, ["\(venue.id)"]),
            Operation(
                Routes.changeVenue, .staff(.manager), ["\(venue.id)"],
                body: VenueChange(name: "Hall", street: "Ring 1", city: "Wien", country: "AT")),
            Operation(Routes.events, .anyone),
            Operation(Routes.event, .anyone, [event]),
            Operation(
                Routes.createEvent, .staff(.manager),
                body: NewEvent(
                    organizerId: shop.organizer.id, name: "Another", summary: "Short", description: "Long",
                    startsAt: "2030-07-01T19:30:00", endsAt: "2030-07-01T22:30:00", timeZone: "Europe/Vienna", venueId: venue.id,
                    onlineURL: "https://example.org/live", currency: .eur, imageURL: "https://example.org/image.png", ageRestriction: 16,
                    refundPolicy: refundPolicy), subjects: [organizer]),
            Operation(
                Routes.changeEvent, .staff(.manager), [event],
                body: EventChange(
                    name: "Ours", summary: "Short", description: "Long", startsAt: "2030-06-01T19:30:00", endsAt: "2030-06-01T23:00:00",
                    timeZone: "Europe/Vienna", venueId: venue.id, onlineURL: "https://example.org/live",
                    imageURL: "https://example.org/image.png", ageRestriction: 16, refundPolicy: refundPolicy)),
        ]
    }

    private var ticketOperations: [Operation] {
        typealias Routes = TicketManagerRoutes
        let (first, second) = (order.tickets[0], order.tickets[1])
        return [
            Operation(Routes.pools, .staff(.manager), [event]),
            Operation(Routes.createPool, .staff(.manager), [event], body: NewPool(name: "Balcony", capacity: 10)),
            Operation(Routes.changePool, .staff(.manager), [pool], body: PoolChange(name: "Hall", capacity: 100)),
            Operation(Routes.ticketTypes, .anyone, [event]),
            Operation(
                Routes.createTicketType, .staff(.manager), [event],
                body: NewTicketType(
                    name: "VIP", description: "Best", price: Money(9_000, .eur), poolIds: [shop.pool.id],
                    salesStart: "2025-01-01T00:00:00", salesEnd: "2030-06-01T00:00:00", minPerOrder: 1, maxPerOrder: 4, maxPerBuyer: 8,
                    hidden: true, accessCode: "open sesame", taxRate: 1_000, fee: 100, feeIncluded: false)),
            Operation(Routes.ticketType, .anyone, [type]),
            Operation(
                Routes.changeTicketType, .staff(.manager), [type],
                body: TicketTypeChange(
                    name: "Standard", description: "Good", price: Money(4_500, .eur), salesStart: "2025-01-01T00:00:00",
                    salesEnd: "2030-06-01T00:00:00", minPerOrder: 1, maxPerOrder: 10, maxPerBuyer: 50, hidden: false,
                    accessCode: "x", taxRate: 0, fee: 0, feeIncluded: false)),
            Operation(Routes.availability, .anyone, [event]),
            Operation(Routes.ticket, .buyer, ["\(first.id)"]),
            Operation(Routes.transferTicket, .buyer, ["\(second.id)"], body: TransferRequest(email: "bob@example.org", name: "Bob")),
            Operation(
                Routes.checkIn, .staff(.door), [event],
                body: CheckInRequest(code: first.code ?? "", direction: .in, nonce: "n", gate: "North", device: "Scanner 1")),
            Operation(Routes.ticketKeys, .anyone),
        ]
    }

    private var couponOperations: [Operation] {
        typealias Routes = CouponManagerRoutes
        return [
            Operation(Routes.coupons, .staff(.manager), query: "?organizer=\(organizer)", subjects: [organizer]),
            Operation(
                Routes.createCoupon, .staff(.manager),
                body: NewCoupon(
                    organizerId: shop.organizer.id, code: "NEW", name: "New", discount: Discount(percent: 10), eventIds: [shop.event.id],
                    ticketTypeIds: [shop.type.id], maxRedemptions: 10, perBuyerLimit: 1, minimumOrder: Money(100, .eur),
                    validFrom: Instant("2025-01-01T00:00:00Z"), validUntil: Instant("2030-01-01T00:00:00Z")), subjects: [organizer]),
            Operation(Routes.coupon, .staff(.manager), ["\(coupon.id)"]),
            Operation(
                Routes.changeCoupon, .staff(.manager), ["\(coupon.id)"],
                body: CouponChange(
                    name: "Changed", discount: Discount(amount: Money(500, .eur)), eventIds: [shop.event.id], ticketTypeIds: [],
                    maxRedemptions: 10, perBuyerLimit: 5, minimumOrder: Money(100, .eur), validFrom: Instant("2025-01-01T00:00:00Z"),
                    validUntil: Instant("2030-01-01T00:00:00Z"))),
            Operation(Routes.deactivateCoupon, .staff(.manager), ["\(spareCoupon.id)"]),
            Operation(
                Routes.validateCoupon, .anyone,
                body: CouponQuestion(
                    code: "OURS", organizerId: shop.organizer.id, eventId: shop.event.id, currency: .eur,
                    lines: [DiscountableLine(ticketTypeId: shop.type.id, quantity: 2, unitPrice: 4_500)])),
        ]
    }

    private var paymentOperations: [Operation] {
        typealias Routes = PaymentProcessingRoutes
        let payment = "\(unpaid.payment!.id)"
        return [
            Operation(Routes.payment, .buyer, [payment]),
            Operation(
                Routes.createAttempt, .buyer, [payment],
                body: PaymentChoice(provider: "manual", method: "bank-transfer", returnURL: "https://example.org/back"), needsKey: true),
            Operation(
                Routes.recordReceipt, .staff(.manager), [payment], body: PaymentReceipt(amount: Money(4_500, .eur), reference: "slip 7"),
                needsKey: true),
            Operation(Routes.ledger, .buyer, ["\(order.id)"]),
            Operation(Routes.webhook, .knowing, ["sandbox"], body: SandboxWebhook(id: "evt_1", type: "charge.succeeded")),
            Operation(Routes.confirmSandboxCharge, .knowing, [charge], body: SandboxConfirmation(approve: true)),
        ]
    }

    private var reportOperations: [Operation] {
        typealias Routes = SalesAnalyticsRoutes
        return [Routes.popularEvents, Routes.topTickets, Routes.revenue].map {
            Operation($0, .staff(.analyst), query: "?organizer=\(organizer)", subjects: [organizer])
        } + [Operation(Routes.eventReport, .staff(.analyst), [event])]
    }

    private var accountOperations: [Operation] {
        typealias Routes = AuthenticationRoutes
        let tokens = [Routes.refresh, Routes.logout].map {
            Operation($0, .knowing, body: RefreshRequest(refreshToken: session.refreshToken))
        }
        return [
            Operation(
                Routes.register, .anyone,
                body: Registration(email: "new@example.org", password: RunningProgram.password, name: "New", locale: "de-AT")),
            Operation(Routes.login, .anyone, body: Credentials(email: buyer.user.email, password: buyer.password)),
        ] + tokens + [
            Operation(Routes.me, .signedIn),
            Operation(Routes.verifyEmail, .knowing, body: VerifyEmailRequest(token: "unknown")),
            Operation(Routes.members, .staff(.owner), [organizer]),
            Operation(Routes.addMember, .staff(.owner), [organizer], body: NewMember(email: newcomer.user.email, role: .analyst)),
            Operation(Routes.removeMember, .staff(.owner), [organizer, "\(spareMember.user.id)"]),
            Operation(Routes.apiKeys, .signedIn),
            Operation(Routes.makeApiKey, .signedIn, body: NewApiKey(name: "Till", scopes: [.read])),
            Operation(Routes.revokeApiKey, .signedIn, ["\(apiKey.id)"]),
            Operation(Routes.jwks, .anyone),
            Operation(NotificationRoutes.notifications, .signedIn),
        ]
    }

    private var salesOperations: [Operation] {
        typealias Routes = SalesManagerRoutes
        let id = "\(cart.id)"
        return [
            Operation(Routes.createCart, .anyone, body: NewCart(eventId: shop.event.id)),
            Operation(Routes.cart, .cart, [id]),
            Operation(
                Routes.addLine, .cart, [id], body: NewCartLine(ticketTypeId: shop.type.id, quantity: 1, accessCode: "x"), needsKey: true),
            Operation(Routes.setCoupon, .cart, [id], body: CouponEntry(code: "OURS")),
            Operation(Routes.removeCoupon, .cart, [id]),
            Operation(Routes.changeLine, .cart, [id, "\(line)"], body: CartLineChange(quantity: 3)),
            Operation(
                Routes.checkout, .cart, [id],
                body: CheckoutRequest(
                    buyer: Buyer(email: "ada@example.org", name: "Ada", locale: "de", phone: "+43 1 234"),
                    attendees: [AttendeeEntry(lineId: line, name: "Ada", email: "ada@example.org")],
                    payment: PaymentChoice(provider: "sandbox", method: Card.captures, returnURL: "https://example.org/back")),
                needsKey: true),
            Operation(Routes.orders, .signedIn),
            Operation(Routes.order, .buyer, ["\(order.id)"]),
            Operation(Routes.ordersOfEvent, .staff(.manager), [event]),
            Operation(
                Routes.refundOrder, .staff(.manager), ["\(order.id)"], body: RefundRequest(amount: Money(100, .eur), reason: "sorry"),
                needsKey: true),
        ]
    }

    private var lastOperations: [Operation] {
        [
            Operation(
                SalesManagerRoutes.removeLine, .cart,
                ["\(spareCart.id)", "\(line)"]),
            Operation(SalesManagerRoutes.deleteCart, .cart, ["\(spareCart.id)"]),
            Operation(SalesManagerRoutes.cancelOrder, .buyer, ["\(spareOrder.id)"]),
            Operation(TicketManagerRoutes.deleteTicketType, .staff(.manager), ["\(spareType.id)"]),
            Operation(TicketManagerRoutes.deletePool, .staff(.manager), ["\(sparePool.id)"]),
            Operation(EventManagerRoutes.publishEvent, .staff(.manager), ["\(draft.id)"]),
            Operation(
                EventManagerRoutes.postponeEvent, .staff(.manager), ["\(canceled.id)"],
                body: PostponeEvent(startsAt: "2031-06-01T19:30:00", endsAt: "2031-06-01T23:00:00")),
            Operation(
                EventManagerRoutes.cancelEvent, .staff(.manager), ["\(canceled.id)"], body: CancelEvent(refund: true, reason: "storm")
            ),
            Operation(EventManagerRoutes.deleteEvent, .staff(.manager), ["\(draft.id)"]),
        ]
    }

    // MARK: Callers

    /// Who may do it: of staff, who has the least role that may.
    func rightful(_ operation: Operation) -> Caller {
        switch operation.right {
        case .anyone, .knowing: .nobody
        case .signedIn: buyer.caller
        case .staff(let role): staff[role]!.caller
        case .cart: .cart(operation.parameters.first == "\(spareCart.id)" ? spareCart.token : cart.token)
        case .buyer: buyer.caller
        }
    }

    /// Who has no business with it: they are told that there is no such thing.
    func strangers(to operation: Operation) -> [(who: String, caller: Caller)] {
        let people = [("another buyer", otherBuyer.caller), ("another organizer", rival.owner.caller)]
        switch operation.right {
        case .anyone, .signedIn, .knowing: return []
        case .staff:
            return people + [("the buyer", buyer.caller)]
        case .cart:
            return people + [
                ("nobody", .nobody), ("who has another cart", .cart(otherCart.token)), ("who has a broken secret", .cart("x")),
                ("who has an order's secret", .cart(orderToken)),
            ]
        case .buyer:
            return people + [
                ("nobody", .nobody), ("who has another order", .order(otherOrder.token)), ("who has a broken secret", .order("x")),
                ("who has a cart's secret", .order(cart.token)),
            ]
        }
    }

    /// Staff of the same organizer whose role does not reach so far.
    func lesser(_ operation: Operation) -> [(Role, Caller)] {
        guard case .staff(let needed) = operation.right else { return [] }
        return staff.filter { !$0.key.covers(needed) }.map { ($0.key, $0.value.caller) }
    }

    func send(_ operation: Operation, as caller: Caller, ghosts: Bool = false) async throws -> Answer {
        var target = operation.route.path(operation.parameters) + operation.query
        var text = try operation.text()
        if ghosts {
            for subject in operation.subjects + operation.parameters where subject.contains("_") {
                let ghost = World.ghost(of: subject)
                target = target.replacingOccurrences(of: subject, with: ghost)
                text = text?.replacingOccurrences(of: subject, with: ghost)
            }
        }
        var headers: [String: String] = [:]
        if text != nil { headers["Content-Type"] = "application/json" }
        if operation.needsKey { headers["Idempotency-Key"] = UUID().uuidString }
        return try await program.send(
            operation.route.method, target, as: caller, headers: headers, bytes: text.map { Array($0.utf8) })
    }

    /// An id of the same kind that nothing has.
    private static func ghost(of id: String) -> String {
        enum Ghost: IdentifierKind { static let prefix = "ghost" }
        return String(id.prefix { $0 != "_" }) + "\(TypeID<Ghost>())".dropFirst(5)
    }
}

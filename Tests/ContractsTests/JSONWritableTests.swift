import Contracts
import Discovery
import Foundation
import Messaging
import Testing
import Values

/// What writes its own JSON against Foundation, which writes the `Encodable` form member by member.
@Suite struct JSONWritableTests {
    private static let lines = [
        HoldLine(
            ticketTypeId: TicketTypeID(), name: "Stehplatz \"vorn\" \\ \n ñ 🎟", quantity: 2, price: Money(.max, .eur), taxRate: 1_900,
            fee: 150,
            feeIncluded: true),
        HoldLine(ticketTypeId: TicketTypeID(), name: "", quantity: 0, price: Money(-1, .eur), taxRate: 0, fee: .min, feeIncluded: false),
    ]
    private static let holds = [
        Hold(id: HoldID(), eventId: EventID(), state: .active, expiresAt: .now, lines: lines, version: 1),
        Hold(
            id: HoldID(), eventId: EventID(), state: .expired, expiresAt: Instant(seconds: 0), orderId: OrderID(), lines: [lines[0]],
            version: .max),
        Hold(id: HoldID(), eventId: EventID(), state: .released, expiresAt: .now, lines: [], version: 0),
    ]

    private static let eur = Money(4_200, .eur)
    private static let totals = Totals(subtotal: eur, discount: Money(0, .eur), tax: eur, fees: eur, total: eur)
    private static let cartLine = CartLine(
        id: CartLineID(), ticketTypeId: TicketTypeID(), name: "Loge \u{7}\u{2028}", quantity: 3, unitPrice: eur, discount: eur, tax: eur,
        fees: eur, total: eur)
    private static let carts = [
        Cart(id: CartID(), state: .open, lines: [], expiresAt: .now),
        Cart(
            id: CartID(), token: "secret", eventId: EventID(), state: .ordered, lines: [cartLine, cartLine], couponCode: "EARLY/10",
            totals: totals, expiresAt: .now, orderId: OrderID()),
    ]
    private static let buyers = [
        Buyer(email: "a@b.example", name: "שלום"), Buyer(email: "a@b.example", name: "A", locale: "de-DE", phone: "+49 30 1"),
    ]
    private static let attendees = [Attendee(), Attendee(name: "A", email: "a@b.example"), Attendee(email: "a@b.example")]
    private static let orderLine = OrderLine(
        id: OrderLineID(), ticketTypeId: TicketTypeID(), name: "Loge", quantity: 3, unitPrice: eur, discount: eur, tax: eur, fees: eur,
        total: eur,
        units: attendees.map {
            OrderUnit(id: OrderUnitID(), price: 1, discount: 0, tax: 2, fee: 3, total: 4, attendee: $0, refunded: $0.name == nil)
        })
    private static let tickets = [
        Ticket(
            id: TicketID(), eventId: EventID(), orderId: OrderID(), unitId: OrderUnitID(), ticketTypeId: TicketTypeID(),
            ticketTypeName: "Loge", attendee: attendees[1], status: .issued, blockedBy: [], codeVersion: 1),
        Ticket(
            id: TicketID(), eventId: EventID(), orderId: OrderID(), unitId: OrderUnitID(), ticketTypeId: TicketTypeID(),
            ticketTypeName: "Loge", attendee: attendees[0], status: .checkedIn, blockedBy: ["refund", "dispute"], code: "TF1-x",
            codeVersion: 2, checkedInAt: .now),
    ]
    private static let payments = [
        Payment(
            id: PaymentID(), orderId: OrderID(), state: .open, amount: eur, attempts: [], captured: eur, refunded: eur, refunds: [],
            isPayLater: false, version: 1),
        Payment(
            id: PaymentID(), orderId: OrderID(), state: .captured, amount: eur, status: .requiresAction,
            action: PaymentAction(type: .redirect, url: "https://bank.example/?a=1"),
            attempts: [
                PaymentAttempt(id: AttemptID(), provider: "sandbox", status: .failed, failure: "card-declined", createdAt: .now),
                PaymentAttempt(id: AttemptID(), provider: "manual", status: .created, createdAt: .now),
            ], captured: eur, refunded: eur,
            refunds: [PaymentRefund(id: RefundID(), status: .requested, amount: eur, cause: "event-canceled:2")],
            disputes: [PaymentDispute(id: DisputeID(), state: .opened, amount: eur)], isPayLater: true, version: 2),
        Payment(
            id: PaymentID(), orderId: OrderID(), state: .closed, amount: eur, action: PaymentAction(type: .instructions, text: "Pay\n"),
            attempts: [], captured: eur, refunded: eur, refunds: [], disputes: [], isPayLater: true, version: 3),
    ]
    private static let orders = [
        Order(
            id: OrderID(), number: "ABC-123", eventId: EventID(), organizerId: OrganizerID(), status: .draft, buyer: buyers[0], lines: [],
            totals: totals, balance: Balance(captured: eur, refunded: eur, due: eur), createdAt: .now, payments: [], refunds: [],
            tickets: [], version: 1),
        Order(
            id: OrderID(), number: "ABC-123", eventId: EventID(), organizerId: OrganizerID(), status: .paid, buyer: buyers[1],
            lines: [orderLine], couponCode: "EARLY", totals: totals, balance: Balance(captured: eur, refunded: eur, due: eur),
            expiresAt: .now, createdAt: .now, paidAt: .now, payments: payments,
            refunds: [
                RefundSummary(id: RefundID(), status: .failed, amount: eur, reason: "ill", units: [OrderUnitID()], createdAt: .now)
            ], tickets: tickets, version: 4),
    ]
    private static let facts = [
        OrderFacts(
            id: OrderID(), number: "ABC-123", eventId: EventID(), organizerId: OrganizerID(), status: .expired, buyer: buyers[0],
            lines: [orderLine], totals: totals, orderToken: "secret"),
        OrderFacts(
            id: OrderID(), number: "ABC-123", eventId: EventID(), organizerId: OrganizerID(), status: .awaitingPayment, buyer: buyers[1],
            userId: UserID(), lines: [], couponCode: "EARLY", totals: totals, orderToken: "secret"),
    ]

    @Test(arguments: holds) func `a hold`(hold: Hold) throws { try expectSame(hold) }
    @Test(arguments: lines) func `a line of a hold`(line: HoldLine) throws { try expectSame(line) }
    @Test(arguments: carts) func `a cart`(cart: Cart) throws { try expectSame(cart) }
    @Test(arguments: buyers) func `a buyer`(buyer: Buyer) throws { try expectSame(buyer) }
    @Test(arguments: attendees) func `an attendee`(attendee: Attendee) throws { try expectSame(attendee) }
    @Test(arguments: tickets) func `a ticket`(ticket: Ticket) throws { try expectSame(ticket) }
    @Test(arguments: payments) func `a payment`(payment: Payment) throws { try expectSame(payment) }
    @Test(arguments: orders) func `an order`(order: Order) throws { try expectSame(order) }
    @Test(arguments: facts) func `what others see of an order`(facts: OrderFacts) throws { try expectSame(facts) }

    private static let holdRequests = [
        NewHold(eventId: EventID(), lines: []),
        NewHold(
            eventId: EventID(),
            lines: [
                HoldRequestLine(ticketTypeId: TicketTypeID(), quantity: 2), HoldRequestLine(ticketTypeId: TicketTypeID(), quantity: 0),
            ],
            ttlSeconds: 600, accessCode: "sesame \"1\""),
    ]
    private static let binding = HoldBinding(eventId: EventID(), orderId: OrderID(), expiresAt: .now)
    private static let fulfilment = FulfilmentRequest(
        eventId: EventID(), holdId: HoldID(),
        units: attendees.map { FulfilmentUnit(unitId: OrderUnitID(), ticketTypeId: TicketTypeID(), attendee: $0) })
    private static let paymentRequests = [
        PaymentChoice(provider: "sandbox"), PaymentChoice(provider: "sandbox", method: "card/1", returnURL: "https://shop.example/?a=1"),
    ].map { choice in
        NewPayment(
            orderId: OrderID(), organizerId: OrganizerID(), amount: eur, description: "Order \"1\"", buyerEmail: "a@b.example",
            choice: choice, expiresAt: .now)
    }

    @Test(arguments: holdRequests) func `a request for a hold`(request: NewHold) throws { try expectSame(request) }
    @Test func `requests about a hold`() throws {
        try expectSame(JSONWritableTests.binding)
        try expectSame(JSONWritableTests.fulfilment)
    }
    @Test(arguments: paymentRequests) func `a request for a payment`(request: NewPayment) throws { try expectSame(request) }

    @Test(arguments: zip(orders, [nil, payments[1]]))
    func `the answer to a checkout`(order: Order, payment: Payment?) throws {
        try expectSame(CheckoutAnswer(order: order, orderToken: "secret", payment: payment))
    }

    @Test(arguments: [nil, "00-ab-cd-01"])
    func `an event`(traceparent: String?) throws {
        try expectSame(
            Envelope(
                id: MessageID(), time: .now, aggregateID: "order_1", aggregateVersion: 3,
                correlationID: traceparent.map { _ in "request-1" },
                traceparent: traceparent, body: OrderPaid(order: JSONWritableTests.facts[0], paidAt: .now)))
    }

    @Test func `values`() throws {
        try expectSame(Money(-1_200, .eur))
        try expectSame(Currency.eur)
        try expectSame(["", "a\u{0}\"\\/\r\t\u{8}\u{c}"])
        try expectSame([Int64.min, -1, 0, 9, 10, .max])
        try expectSame([true, false])
        try expectSame([[HoldID()], []])
        try expectSame([Instant(seconds: 0), .now])
    }

    /// So that a member which is left out of `write` is noticed, the samples above have to have each.
    @Test func `the samples say something of every member`() {
        var (all, said): ([String: Set<String>], [String: Set<String>]) = ([:], [:])
        func visit(_ value: Any) {
            let mirror = Mirror(reflecting: value)
            for child in mirror.children {
                if mirror.displayStyle == .struct, let label = child.label {
                    let type = "\(mirror.subjectType)"
                    all[type, default: []].insert(label)
                    let member = Mirror(reflecting: child.value)
                    if member.displayStyle != .optional || !member.children.isEmpty { said[type, default: []].insert(label) }
                }
                visit(child.value)
            }
        }
        for samples: [Any] in [
            JSONWritableTests.holds, JSONWritableTests.carts, JSONWritableTests.payments, JSONWritableTests.orders, JSONWritableTests.facts,
            JSONWritableTests.holdRequests, [JSONWritableTests.binding], [JSONWritableTests.fulfilment], JSONWritableTests.paymentRequests,
        ] {
            visit(samples)
        }
        #expect(all["Order"]?.contains("paidAt") == true)
        #expect(all == said)
    }

    private func expectSame(_ value: some JSONWritable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        #expect(try JSON.text(of: value) == String(decoding: encoder.encode(value), as: UTF8.self))
    }

    @Test func `nothing else writes its own JSON`() throws {
        let types = try SourceTree().files(under: "Sources").flatMap { file in
            file.text.matches(of: #/extension ([\w.]+): JSONWritable/#).map { String($0.output.1) }
        }
        // That of HoldRecord is stored; see HoldLinesTests.
        #expect(
            Set(types) == [
                "Array", "Attendee", "Balance", "Bool", "Buyer", "Cart", "CartLine", "CheckoutAnswer", "Currency", "Envelope",
                "FulfilmentRequest", "FulfilmentUnit", "Hold", "HoldBinding", "HoldLine", "HoldRecord.Line", "HoldRequestLine", "Instant",
                "Int64", "Money", "NewHold", "NewPayment", "Order", "OrderFacts", "OrderLine", "OrderPaid", "OrderUnit", "Payment",
                "PaymentAction", "PaymentAttempt", "PaymentChoice", "PaymentDispute", "PaymentRefund", "RefundSummary", "String", "Ticket",
                "Totals", "TypeID",
            ], "a new one needs a test here")
    }
}

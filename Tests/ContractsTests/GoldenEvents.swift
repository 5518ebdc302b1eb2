import Contracts
import Discovery
import Foundation
import Messaging
import Testing
import Values

/// One fixed value of every event, and the file that pins how it is written.
struct GoldenEvent: Sendable, CustomTestStringConvertible {
    let name: String
    /// The event in its envelope, as it is written now.
    let written: @Sendable () throws -> [UInt8]
    /// What was read from text, written again.
    let rewritten: @Sendable (String) throws -> [UInt8]

    var testDescription: String { name }

    init<Body: DomainEvent>(_ body: Body, of aggregate: String) {
        name = Body.name
        written = {
            try JSON.bytes(
                of: Envelope(
                    id: Fixed.id(1), time: Fixed.time, aggregateID: aggregate, aggregateVersion: 3, correlationID: "request-1",
                    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", body: body))
        }
        rewritten = { try JSON.bytes(of: try JSON.value(Envelope<Body>.self, from: $0)) }
    }

    static let all: [GoldenEvent] = [
        GoldenEvent(
            UserRegistered(
                userId: Fixed.id(2), email: "ada@example.org", name: "Ada Lovelace", locale: "en", verificationToken: "secret"),
            of: "\(Fixed.id(2) as UserID)"),
        GoldenEvent(EventChanged(event: Fixed.event), of: "\(Fixed.event.id)"),
        GoldenEvent(EventCanceled(eventId: Fixed.event.id, refund: true, reason: "The hall burned down."), of: "\(Fixed.event.id)"),
        GoldenEvent(TicketTypeChanged(ticketType: Fixed.ticketType), of: "\(Fixed.ticketType.id)"),
        GoldenEvent(
            TicketTransferred(ticket: Fixed.ticket, email: "grace@example.org", name: "Grace Hopper", ticketToken: "secret"),
            of: "\(Fixed.ticket.id)"),
        GoldenEvent(OrderPaid(order: Fixed.order(.paid), paidAt: Fixed.time), of: "\(Fixed.orderID)"),
        GoldenEvent(OrderEnded(order: Fixed.order(.expired), reason: "expired"), of: "\(Fixed.orderID)"),
        GoldenEvent(
            OrderRefunded(
                order: Fixed.order(.canceled), refundId: Fixed.id(12), amount: Fixed.money(4_650), units: [Fixed.id(10)],
                reason: "asked for", refundedAt: Fixed.time),
            of: "\(Fixed.orderID)"),
        GoldenEvent(PaymentChanged(payment: Fixed.payment), of: "\(Fixed.payment.id)"),
    ]
}

/// Values that never change.
enum Fixed {
    static let time = Instant(seconds: 1_809_190_800)
    static let orderID: OrderID = id(8)

    static func id<Kind: IdentifierKind>(_ number: UInt8) -> TypeID<Kind> {
        TypeID(bytes: [0x01, 0x9A, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, number])!
    }

    static func money(_ amount: Int64) -> Money { Money(amount, .eur) }

    static let event = Event(
        id: id(3), slug: "midsummer-night", organizerId: id(4), name: "Midsummer Night", summary: "Outdoors.",
        description: "Bring a *blanket*.", state: .published, startsAt: time + .days(30), localStartsAt: "2027-06-01T21:00:00",
        endsAt: time + .days(30) + .hours(3), timeZone: "Europe/Berlin", venueId: id(5),
        venue: Venue(
            id: id(5), organizerId: id(4), name: "Open Air Stage", street: "Parkweg 1", city: "Berlin", country: "DE",
            createdAt: time), onlineURL: nil, currency: .eur, imageURL: "https://example.org/night.jpg", ageRestriction: 16,
        refundPolicy: RefundPolicy(until: time + .days(20), feesRefunded: false), version: 3, createdAt: time)

    static let ticketType = TicketType(
        id: id(6), eventId: id(3), name: "Standing", description: "No seats.", price: money(4_500), poolIds: [id(7)],
        salesStart: time, salesEnd: time + .days(30), minPerOrder: 1, maxPerOrder: 10, maxPerBuyer: 20, hidden: true,
        accessCode: "FRIENDS", taxRate: 1_900, fee: 150, feeIncluded: false, archived: false, version: 2)

    static let ticket = Ticket(
        id: id(9), eventId: id(3), orderId: orderID, unitId: id(10), ticketTypeId: id(6), ticketTypeName: "Standing",
        attendee: Attendee(name: "Ada Lovelace", email: "ada@example.org"), status: .issued, blockedBy: ["refund"],
        code: "TF1CODE", codeVersion: 2, checkedInAt: time)

    static func order(_ status: OrderStatus) -> OrderFacts {
        let unit = OrderUnit(
            id: id(10), price: 4_500, discount: 0, tax: 718, fee: 150, total: 4_650, attendee: ticket.attendee, refunded: false)
        let line = OrderLine(
            id: id(13), ticketTypeId: id(6), name: "Standing", quantity: 1, unitPrice: money(4_500), discount: money(0),
            tax: money(718), fees: money(150), total: money(4_650), units: [unit])
        return OrderFacts(
            id: orderID, number: "K7M2P9X4", eventId: id(3), organizerId: id(4), status: status,
            buyer: Buyer(email: "ada@example.org", name: "Ada Lovelace", locale: "en", phone: "+49 30 1234567"), userId: id(2),
            lines: [line], couponCode: "EARLY10",
            totals: Totals(
                subtotal: money(4_500), discount: money(0), tax: money(718), fees: money(150), total: money(4_650)),
            orderToken: "secret")
    }

    static let payment = Payment(
        id: id(11), orderId: orderID, state: .captured, amount: money(4_650), status: .captured,
        action: PaymentAction(type: .redirect, url: "https://example.org/confirm", text: "Confirm."),
        attempts: [
            PaymentAttempt(id: id(14), provider: "sandbox", status: .failed, failure: "card-declined", createdAt: time),
            PaymentAttempt(id: id(15), provider: "sandbox", status: .captured, createdAt: time + .minutes(1)),
        ],
        captured: money(4_650), refunded: money(0),
        refunds: [PaymentRefund(id: id(12), status: .requested, amount: money(4_650), cause: "asked")], isPayLater: false, version: 4)
}

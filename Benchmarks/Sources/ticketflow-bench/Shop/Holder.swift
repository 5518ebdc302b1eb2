import NIOCore

/// Asks TicketManager itself for one hold of one ticket after the other, as SalesManager does. What comes back from a load goes on
/// where that ended.
struct Holder: Script {
    private let request: Request
    private let name: String
    private(set) var count = 0

    /// - Parameter name: unique within the program's life; the keys begin with it.
    init(_ offer: Offer, serviceToken: String, name: String) {
        self.name = name
        request = Request(
            "POST", "/api/v1/holds", token: serviceToken,
            body: """
                {"eventId":"\(offer.event)","lines":[{"ticketTypeId":"\(offer.ticketType)","quantity":1}],"ttlSeconds":3600}
                """)
    }

    mutating func next(after answer: Answer?, _ turn: inout Turn) throws -> Step {
        if let answer {
            try answer.expect(201, "POST /holds")
            turn.complete()
        }
        guard turn.goesOn else { return .stop }
        count += 1
        turn.begin()
        // As SalesManager's keys begin: with the id of a cart, and so with the time.
        request.write(to: &turn.out, key: "cart_\(NIODeadline.now().uptimeNanoseconds):\(name)-\(count)")
        return .request
    }
}

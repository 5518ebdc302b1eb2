import NIOCore

/// Asks TicketManager itself for one hold of one ticket after the other, as SalesManager does. What comes back from a load goes on
/// where that ended.
struct Holder: Script {
    private let request: Request
    private let name: String
    private(set) var count = 0
    private var pace: (interval: TimeAmount, due: NIODeadline?)?
    private var delay = TimeAmount.zero

    /// - Parameter name: unique within the program's life; the keys begin with it.
    init(_ offer: Offer, serviceToken: String, name: String) {
        self.name = name
        request = Request(
            "POST", "/api/v1/holds", token: serviceToken,
            body: """
                {"eventId":"\(offer.event)","lines":[{"ticketTypeId":"\(offer.ticketType)","quantity":1}],"ttlSeconds":3600}
                """)
    }

    /// The same at a pace of its own, however long answers take: one that comes too late for the next request makes that one late,
    /// and its lateness counts.
    /// - Parameter delay: before the first, so that not all begin at once.
    func paced(_ interval: TimeAmount, after delay: TimeAmount) -> Holder {
        var holder = self
        holder.pace = (interval, nil)
        holder.delay = delay
        return holder
    }

    /// The same without a pace.
    var unpaced: Holder {
        var holder = self
        holder.pace = nil
        return holder
    }

    mutating func next(after answer: Answer?, _ turn: inout Turn) throws -> Step {
        if let answer {
            try answer.expect(201, "POST /holds")
            turn.complete()
        }
        guard turn.goesOn else { return .stop }
        let now = NIODeadline.now()
        if let pace {
            let due = answer == nil ? pace.due ?? now + delay : (pace.due ?? now) + pace.interval
            self.pace?.due = due
            if due > now { return .pause(due - now) }
        }
        count += 1
        turn.begin(at: pace?.due ?? now)
        // As SalesManager's keys begin: with the id of a cart, and so with the time.
        request.write(to: &turn.out, key: "cart_\(NIODeadline.now().uptimeNanoseconds):\(name)-\(count)")
        return .request
    }
}

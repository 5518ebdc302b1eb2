import Contracts
import Values

/// What a door decides about a ticket, without I/O.
struct CheckIn: Sendable {
    /// How long the same reading gets the same answer.
    static let repetition = TimeSpan.minutes(1)

    enum Refusal: String, Sendable {
        case unknownCode = "unknown-code"
        case revokedCode = "revoked-code"
        case otherEvent = "other-event"
        case alreadyUsed = "already-used"
        case notInside = "not-inside"
        case void
        case blocked
    }

    let event: EventID
    let code: String
    let direction: Direction

    /// The ticket's next state, or why not. Online the code is compared with the one that was issued, which says as much as its signature.
    func decide(_ record: TicketRecord) -> Result<TicketState, RefusalError> {
        let ticket = record.ticket
        guard ticket.eventId == event else { return .failure(.init(reason: .otherEvent)) }
        guard record.code == code else { return .failure(.init(reason: .revokedCode)) }
        guard ticket.status != .void else { return .failure(.init(reason: .void)) }
        guard ticket.blockedBy.isEmpty else { return .failure(.init(reason: .blocked)) }
        switch (ticket.status, direction) {
        case (.issued, .in), (.checkedOut, .in): return .success(.checkedIn)
        case (.checkedIn, .out): return .success(.checkedOut)
        case (.checkedIn, .in): return .failure(.init(reason: .alreadyUsed))
        case (_, .out): return .failure(.init(reason: .notInside))
        case (.void, .in): return .failure(.init(reason: .void))
        }
    }

    struct RefusalError: Error, Hashable {
        let reason: Refusal
    }
}

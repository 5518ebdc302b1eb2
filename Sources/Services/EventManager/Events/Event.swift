import Contracts
import ServiceKit
import Values

/// What an event may become: `draft -> published -> (postponed -> published) -> canceled | completed`.
extension Event {
    /// How long an event is taken to last that does not say when it ends.
    static let lengthWithoutEnd = TimeSpan.hours(24)

    /// Whether everybody finds it in lists.
    var isListed: Bool { state == .published || state == .postponed }

    /// Whether it may still be changed.
    var isOpen: Bool { isListed || state == .draft }

    var overAt: Instant { endsAt ?? startsAt + Event.lengthWithoutEnd }

    func isOver(at now: Instant) -> Bool { overAt <= now }

    mutating func publish() throws(IllegalTransition) {
        try become(.published, from: .draft, .postponed)
    }

    mutating func postpone() throws(IllegalTransition) {
        try become(.postponed, from: .published)
    }

    mutating func cancel() throws(IllegalTransition) {
        try become(.canceled, from: .published, .postponed)
    }

    mutating func complete() throws(IllegalTransition) {
        try become(.completed, from: .published)
    }

    private mutating func become(_ next: EventState, from allowed: EventState...) throws(IllegalTransition) {
        guard allowed.contains(state) else {
            throw IllegalTransition(of: "event", from: state.rawValue, to: next.rawValue)
        }
        state = next
    }
}

extension Event {
    /// The value of its ETag.
    var etag: String { "\"\(version)\"" }

    mutating func take(_ schedule: Schedule) {
        startsAt = schedule.start.instant
        localStartsAt = schedule.start.local
        endsAt = schedule.end?.instant
        localEndsAt = schedule.end?.local
        timeZone = schedule.start.zone
    }
}

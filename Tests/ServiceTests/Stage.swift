import Contracts
import Discovery
import Synchronization
import Values

/// An organizer with staff and events on sale, and what EventManager and Authentication say of them.
final class Stage: Sendable {
    let organizer = OrganizerID()
    /// The one event that most tests need.
    let event: EventID

    let owner = TestCaller.user(UserID(), email: "owner@example.org")
    let manager = TestCaller.user(UserID(), email: "manager@example.org")
    let door = TestCaller.user(UserID(), email: "door@example.org")
    let analyst = TestCaller.user(UserID(), email: "analyst@example.org")
    /// Manages another organizer's events.
    let rival = TestCaller.user(UserID(), email: "rival@example.org")
    /// Has an account, and nothing to do with anybody.
    let stranger = TestCaller.user(UserID(), email: "stranger@example.org")
    let admin = TestCaller.user(UserID(), email: "admin@example.org", admin: true)

    private let events = Mutex<[EventID: Event]>([:])

    init() {
        let first = Stage.makeEvent(of: organizer)
        event = first.id
        events.withLock { $0[first.id] = first }
    }

    func add(_ event: Event) -> EventID {
        events.withLock { $0[event.id] = event }
        return event.id
    }

    func change(_ id: EventID, _ change: (inout Event) -> Void) -> Event {
        events.withLock { events in
            change(&events[id]!)
            events[id]!.version += 1
            return events[id]!
        }
    }

    static func makeEvent(
        of organizer: OrganizerID, state: EventState = .published, timeZone: String = "Europe/Vienna", refundPolicy: RefundPolicy? = nil
    ) -> Event {
        Event(
            id: EventID(), slug: "concert", organizerId: organizer, name: "Concert", summary: nil, description: nil, state: state,
            startsAt: .now + .days(30), localStartsAt: "2027-05-01T19:30:00", endsAt: nil, timeZone: timeZone, venueId: nil, venue: nil,
            onlineURL: nil, currency: .eur, imageURL: nil, ageRestriction: nil, refundPolicy: refundPolicy, version: 1, createdAt: .now)
    }

    func enter(_ transport: InProcessTransport) {
        let members: [(TestCaller, OrganizerID, Role)] = [
            (owner, organizer, .owner), (manager, organizer, .manager), (door, organizer, .door), (analyst, organizer, .analyst),
            (rival, OrganizerID(), .owner),
        ]
        transport.enterMemberships(members.compactMap { caller, organizer, role in caller.userID.map { ($0, organizer, role) } })
        transport.enter(.eventManager) { [self] request in
            guard let id = request.target.split(separator: "/").last.flatMap({ EventID(String($0)) }),
                let event = events.withLock({ $0[id] })
            else { return (404, Problem.notFound("event")) }
            return (200, event)
        }
    }
}

extension TestCaller {
    var userID: UserID? {
        if case .user(let id, _, _, _) = self { id } else { nil }
    }
}

import Contracts
import Discovery
import ServiceKit
import Storage
import Values

/// What a list of events is asked for.
struct EventSearch: Sendable {
    /// In which order; `-` means the latest first.
    enum Sort: String, CaseIterable {
        case startsAt, startsAtDown = "-startsAt", createdAt, createdAtDown = "-createdAt"

        fileprivate var isDown: Bool { self == .startsAtDown || self == .createdAtDown }
        fileprivate var isByStart: Bool { self == .startsAt || self == .startsAtDown }
        fileprivate var column: SQL { isByStart ? "e.starts_at" : "e.created_at" }
    }

    /// Which states an organizer's staff want to see. Without it, what is public.
    enum States: Hashable {
        case listed
        case all
        case one(EventState)
    }

    let organizer: OrganizerID?
    let states: States
    private let sort: Sort
    private let conditions: [SQL]

    init(_ call: Call) throws {
        organizer = try call.query("organizer", as: OrganizerID.self, "an id that begins with org_")
        states = try EventSearch.states(call.query("state"))
        guard let sort = Sort(rawValue: call.query("sort") ?? Sort.startsAt.rawValue) else {
            throw Problem.invalid("sort", "must be one of \(Sort.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        self.sort = sort
        let form = "a time in RFC 3339, such as 2027-05-01T00:00:00Z"
        var conditions: [SQL] = []
        switch states {
        case .listed: conditions.append("e.is_listed = TRUE")
        case .all: break
        case .one(let state): conditions.append("e.state = \(state)")
        }
        if let organizer { conditions.append("e.organizer_id = \(organizer)") }
        if let from = try call.query("from", as: Instant.self, form) { conditions.append("e.starts_at >= \(from)") }
        if let to = try call.query("to", as: Instant.self, form) { conditions.append("e.starts_at < \(to)") }
        if let country = call.query("country") {
            guard country.isCountry else { throw Problem.invalid("country", "must be a code of ISO 3166-1, such as DE") }
            conditions.append("v.country = \(country)")
        }
        if let city = call.query("city") {
            guard city.count <= 200 else { throw Problem.invalid("city", "must be at most 200 characters long") }
            conditions.append("v.city_key = \(SearchText.folded(city))")
        }
        if let query = call.query("query") {
            conditions += SearchText.conditions(try SearchText.patterns(query), in: ["e.search_text", "v.search_text"])
        }
        if let after = call.query("after") { conditions.append(try EventSearch.condition(after: after, sort)) }
        self.conditions = conditions
    }

    var condition: SQL { conditions.isEmpty ? "TRUE" : .joined(conditions, by: " AND ") }

    var order: SQL {
        sort.isDown ? "\(sort.column) DESC, e.id DESC" : "\(sort.column), e.id"
    }

    /// Where the next page begins: the time that the list is sorted by, and the id, in case several have the same.
    func cursor(_ event: Event) -> String {
        "\((sort.isByStart ? event.startsAt : event.createdAt).microseconds).\(event.id)"
    }

    private static func condition(after cursor: String, _ sort: Sort) throws -> SQL {
        let parts = cursor.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let time = Int64(parts[0]), let id = EventID(String(parts[1])) else {
            throw Problem.invalid("after", "must be the next of an earlier answer")
        }
        return sort.isDown ? "(\(sort.column), e.id) < (\(time), \(id))" : "(\(sort.column), e.id) > (\(time), \(id))"
    }

    private static func states(_ text: String?) throws -> States {
        guard let text else { return .listed }
        if text == "all" { return .all }
        guard let state = EventState(rawValue: text) else {
            throw Problem.invalid("state", "must be draft, published, postponed, canceled, completed or all")
        }
        return .one(state)
    }
}

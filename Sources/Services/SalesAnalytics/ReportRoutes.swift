import Contracts
import Discovery
import HTTPTypes
import ServiceKit
import Storage
import Values

/// Reports, for analysts of the organizer and who stands above them. As JSON, or as CSV with `?format=csv` or `Accept: text/csv`.
struct ReportRoutes {
    let database: Database
    let authentication: AuthenticationClient
    let configuration: LiveSettings<SalesAnalyticsConfiguration>

    var endpoints: [Endpoint] {
        [
            Endpoint(SalesAnalyticsRoutes.popularEvents, popularEvents),
            Endpoint(SalesAnalyticsRoutes.topTickets, topTickets),
            Endpoint(SalesAnalyticsRoutes.revenue, revenue),
            Endpoint(SalesAnalyticsRoutes.eventReport, eventReport),
        ]
    }

    @Sendable func popularEvents(_ call: Call) async throws -> Reply {
        let query = try ReportQuery(call, configuration)
        let cursor = try call.query("after", as: ReportStore.Cursor.self, "the next of the page before")
        let scope = try await scope(call)
        let rows = try await database.read { tx in
            try ReportStore(scope: scope, period: query.period, tx: tx).popularEvents(after: cursor, limit: query.limit + 1)
        }
        let page = Page(rows, limit: query.limit) { "\(ReportStore.Cursor(tickets: $0.ticketsSold, id: "\($0.eventId)"))" }
        guard !query.asCSV else { return CSV(page.items).reply(named: "popular-events", next: page.next, to: call) }
        return try .ok(PopularEventsReport(items: page.items, next: page.next))
    }

    @Sendable func topTickets(_ call: Call) async throws -> Reply {
        let query = try ReportQuery(call, configuration)
        let cursor = try call.query("after", as: ReportStore.Cursor.self, "the next of the page before")
        let scope = try await scope(call)
        let rows = try await database.read { tx in
            try ReportStore(scope: scope, period: query.period, tx: tx).topTickets(after: cursor, limit: query.limit + 1)
        }
        let page = Page(rows, limit: query.limit) { "\(ReportStore.Cursor(tickets: $0.ticketsSold, id: "\($0.ticketTypeId)"))" }
        guard !query.asCSV else { return CSV(page.items).reply(named: "top-tickets", next: page.next, to: call) }
        return try .ok(TopTicketsReport(items: page.items, next: page.next))
    }

    /// `?limit=` counts intervals: a page never ends between the currencies of one.
    @Sendable func revenue(_ call: Call) async throws -> Reply {
        let query = try ReportQuery(call, configuration)
        guard let interval = Interval(rawValue: call.query("interval") ?? "day") else {
            throw Problem.invalid("interval", "must be hour, day, week or month")
        }
        let after = try call.query("after", as: Instant.self, "the next of the page before")
        let scope = try await scope(call)
        let points = try await database.read { tx in
            try ReportStore(scope: scope, period: query.period, tx: tx).revenue(by: interval, after: after, limit: query.limit + 1)
        }
        let beginnings = points.map(\.from).reduce(into: [Instant]()) { if $0.last != $1 { $0.append($1) } }
        let cut = beginnings.count > query.limit ? beginnings[query.limit] : nil
        let items = cut.map { cut in points.filter { $0.from < cut } } ?? points
        let next = cut.map { "\($0)" }
        guard !query.asCSV else { return CSV(items).reply(named: "revenue", next: next, to: call) }
        return try .ok(RevenueReport(interval: interval, items: items, next: next))
    }

    @Sendable func eventReport(_ call: Call) async throws -> Reply {
        let id: EventID = try call.id("id")
        let asCSV = try ReportQuery.asCSV(call)
        guard let (organizer, report) = try await database.read({ tx in try ReportStore.event(id, in: tx) }) else {
            // Asked in vain, so that an event that is not there takes as long as one that is somebody else's.
            try await authentication.require(.analyst, of: OrganizerID(), for: call.identity, what: "event")
            throw Problem.notFound("event")
        }
        try await authentication.require(.analyst, of: organizer, for: call.identity, what: "event")
        return asCSV ? CSV(report.ticketTypes).reply(named: "event", to: call) : try .ok(report)
    }

    /// The organizer that is asked for, or all that the caller may see.
    private func scope(_ call: Call) async throws -> ReportStore.Scope {
        if let organizer = try call.query("organizer", as: OrganizerID.self, "an organizer's id") {
            try await authentication.require(.analyst, of: organizer, for: call.identity, what: "organizer")
            return .organizers([organizer])
        }
        let user = try call.user
        if user.isAdmin { return .everything }
        let memberships = try await authentication.memberships(of: user.id)
        return .organizers(memberships.filter { $0.role.covers(.analyst) }.map(\.organizerId))
    }
}

/// What all reports are asked with.
struct ReportQuery: Sendable {
    /// How long a report may be; longer ones are asked for in pieces.
    static let longestPeriod = TimeSpan.days(3_660)

    let period: ReportPeriod
    let limit: Int
    let asCSV: Bool

    init(_ call: Call, _ configuration: LiveSettings<SalesAnalyticsConfiguration>) throws {
        limit = try call.limit
        asCSV = try ReportQuery.asCSV(call)
        let times = try ["from", "to"].map { name in
            let time = try call.query(name, as: Instant.self, "a time in RFC 3339, such as 2027-05-01T00:00:00Z")
            if let time, !(2000...2200).contains(time.civil.year) { throw Problem.invalid(name, "must be in a year from 2000 to 2200") }
            return time
        }
        let to = times[1] ?? .now + .hours(1)
        let from = times[0] ?? to - configuration.defaultPeriod
        guard from < to else { throw Problem.invalid("from", "must be before to") }
        guard to - from <= ReportQuery.longestPeriod else { throw Problem.invalid("from", "must be at most ten years before to") }
        period = ReportPeriod(from: from, to: to)
    }

    static func asCSV(_ call: Call) throws -> Bool {
        switch call.query("format") {
        case "csv": true
        case "json": false
        case nil: call.headers[.accept]?.lowercased().contains("text/csv") ?? false
        default: throw Problem.invalid("format", "must be json or csv")
        }
    }
}

package import Discovery
import HTTPTypes

package enum SalesAnalyticsRoutes {
    package static let popularEvents = Route(.get, "/api/v1/reports/popular-events", .user)
    package static let topTickets = Route(.get, "/api/v1/reports/top-tickets", .user)
    package static let revenue = Route(.get, "/api/v1/reports/revenue", .user)
    package static let eventReport = Route(.get, "/api/v1/events/{id}/report", .user)

    package static let all = [popularEvents, topTickets, revenue, eventReport]
}

import Authentication
import CouponManager
import Discovery
import EventManager
import Notification
import PaymentProcessing
import SalesAnalytics
import SalesManager
import ServiceKit
import TicketManager

/// The services that there are.
enum ServiceList {
    static let all: [any Microservice.Type] = [
        EventManagerService.self,
        TicketManagerService.self,
        SalesManagerService.self,
        CouponManagerService.self,
        PaymentProcessingService.self,
        AuthenticationService.self,
        SalesAnalyticsService.self,
        NotificationService.self,
    ]

    static let names = all.map { $0.name.description }

    /// Those of these names, or all for no names.
    static func named(_ names: [String]) throws -> [any Microservice.Type] {
        for name in names where !all.contains(where: { $0.name.description == name }) {
            throw Failure(
                "There is no service \(name).", next: "There are \(ServiceList.names.joined(separator: ", ")).")
        }
        return names.isEmpty ? all : all.filter { names.contains($0.name.description) }
    }
}

extension ServiceName {
    /// Where its settings stand in the configuration: `ticketManager`.
    var configurationKey: String {
        let words = description.split(separator: "-")
        return words.dropFirst().reduce(words.first.map(String.init) ?? "") { $0 + $1.prefix(1).uppercased() + $1.dropFirst() }
    }
}

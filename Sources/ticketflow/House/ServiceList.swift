import Authentication
import ConfigServer
import CouponManager
import Discovery
import EventManager
import Notification
import PaymentProcessing
import SalesAnalytics
import SalesManager
import ServiceKit
import ServiceRegistry
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

    /// Servers beside them, which a whole system in one process does without.
    static let edge: [any EdgeServer.Type] = [RegistryServer.self, SettingsServer.self]

    /// Where a service listens if nothing else is said, when it does not run with the front door: 8101 and up.
    static func usualPort(of service: ServiceName) -> Int {
        8_101 + (all.firstIndex { $0.name == service } ?? 0)
    }
}

extension ServiceName {
    /// Where its settings stand in the configuration: `ticketManager`.
    var configurationKey: String {
        let words = description.split(separator: "-")
        return words.dropFirst().reduce(words.first.map(String.init) ?? "") { $0 + $1.prefix(1).uppercased() + $1.dropFirst() }
    }
}

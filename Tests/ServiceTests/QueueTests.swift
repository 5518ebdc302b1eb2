import Authentication
import Configuration
import Contracts
import CouponManager
import EventManager
import Messaging
import Notification
import PaymentProcessing
import SalesAnalytics
import SalesManager
import ServiceKit
import Testing
import TicketManager

@Suite struct QueueTests {
    @Test func `the contracts name every queue, with the events that its consumer handles`() async throws {
        var declared: [QueueDeclaration] = []
        declared += try await declarations(of: EventManagerService.self)
        declared += try await declarations(of: TicketManagerService.self)
        declared += try await declarations(of: SalesManagerService.self)
        declared += try await declarations(of: CouponManagerService.self)
        declared += try await declarations(of: PaymentProcessingService.self)
        declared += try await declarations(of: AuthenticationService.self)
        declared += try await declarations(of: SalesAnalyticsService.self)
        declared += try await declarations(of: NotificationService.self)
        #expect(declared.sorted { $0.name < $1.name } == Contracts.queues.sorted { $0.name < $1.name })
    }

    private func declarations<S: Microservice>(of service: S.Type) async throws -> [QueueDeclaration] {
        try await withFolder { folder in
            try await withService(
                service,
                settings: ["mail.directory": .init(.string("\(folder)/mail"), isSecret: false), "publicURL": "https://example.org/"],
                folder: folder
            ) { $0.service.consumers.map(\.declaration) }
        }
    }
}

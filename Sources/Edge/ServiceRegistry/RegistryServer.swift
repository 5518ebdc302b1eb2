package import Discovery
import HTTPTypes
package import ServiceKit
package import ServiceLifecycle

/// Keeps what runs where, in Eureka's protocol.
package struct RegistryServer: EdgeServer {
    package static let name = ServiceName("service-registry")
    package static let usualPort = 8_761
    package static let largestBody = 4 * 1024 * 1024

    package init(_ environment: EdgeEnvironment) throws {}

    package func respond(to request: IncomingRequest) async -> Reply {
        Reply(status: .notFound)
    }

    package var services: [any Service] { [] }

    package var checks: [Operations.Check] { [] }
}

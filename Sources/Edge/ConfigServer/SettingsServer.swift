package import Discovery
import HTTPTypes
package import ServiceKit
package import ServiceLifecycle

/// Serves the settings of applications, in Spring Cloud Config's protocol.
package struct SettingsServer: EdgeServer {
    package static let name = ServiceName("config-server")
    package static let usualPort = 8_888
    package static let largestBody = 4 * 1024 * 1024

    package init(_ environment: EdgeEnvironment) throws {}

    package func respond(to request: IncomingRequest) async -> Reply {
        Reply(status: .notFound)
    }

    package var services: [any Service] { [] }

    package var checks: [Operations.Check] { [] }
}

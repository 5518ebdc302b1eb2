import Contracts
package import Discovery
package import Messaging
package import ServiceKit
package import Storage

/// Discount codes: what they take off, for whom, and how often.
///
/// It has no settings, hears nothing, and needs no timer: a use that has expired is free from that moment, whoever looks.
package struct CouponManagerService: Microservice {
    package static let name = ServiceName.couponManager
    package static let migrations = CouponManagerMigrations.all

    package let endpoints: [Endpoint]
    package let consumers: [Consumer] = []
    package let jobs: [Job] = []

    package init(_ environment: ServiceEnvironment) throws {
        let authentication = AuthenticationClient(environment.peer(.authentication))
        endpoints =
            CouponRoutes(database: environment.database, authentication: authentication, logger: environment.logger).endpoints
            + CouponUseRoutes(database: environment.database, faults: environment.faults, logger: environment.logger).endpoints
    }
}

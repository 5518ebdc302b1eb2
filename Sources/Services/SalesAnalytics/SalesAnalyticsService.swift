package import Configuration
import Contracts
package import Discovery
package import Messaging
package import ServiceKit
package import Storage

/// What sells: projections of what other services tell, and reports over them.
package struct SalesAnalyticsService: Microservice {
    package static let name = ServiceName.salesAnalytics
    package static let migrations = SalesAnalyticsMigrations.all

    package static func readSettings(_ reader: ConfigSnapshotReader) throws { _ = try SalesAnalyticsConfiguration(reader) }

    package let endpoints: [Endpoint]
    package let consumers: [Consumer]
    package let jobs: [Job]

    package init(_ environment: ServiceEnvironment) throws {
        let configuration = try environment.settings.follow(SalesAnalyticsConfiguration.init)
        endpoints =
            ReportRoutes(
                database: environment.database, authentication: AuthenticationClient(environment.peer(.authentication)),
                configuration: configuration
            ).endpoints
        jobs = SalesAnalyticsJobs(database: environment.database).jobs
        consumers = SalesAnalyticsEvents(database: environment.database, concurrency: configuration.concurrency).consumers
    }
}

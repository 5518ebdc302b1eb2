package import Configuration
import Contracts
package import Discovery
import Logging
package import Messaging
import Passwords
package import ServiceKit
package import Storage

/// Users, sessions, API keys, memberships in organizers, and the keys that access tokens are signed with.
package struct AuthenticationService: Microservice {
    package static let name = ServiceName.authentication
    package static let migrations = authenticationMigrations

    package static func readSettings(_ reader: ConfigSnapshotReader) throws { _ = try AuthenticationConfiguration(reader) }

    private let users: UserRoutes
    private let sessions: SessionRoutes
    private let members: MemberRoutes
    private let tokens: TokenRoutes
    private let apiKeys: ApiKeyRoutes
    private let housekeeping: AuthenticationJobs
    private let hasher: PasswordHasher

    package init(_ environment: ServiceEnvironment) throws {
        let configuration = try environment.settings.follow(AuthenticationConfiguration.init)
        let database = environment.database
        let signingKey = try SigningKey(environment.secrets)
        let accessTokens = AccessTokens(key: signingKey, configuration: configuration)
        let queue = PasswordQueue(largest: configuration.passwordQueue)
        hasher = PasswordHasher(cost: configuration.passwordCost)
        users = UserRoutes(
            database: database, outbox: environment.outbox, hasher: hasher, queue: queue, logger: environment.logger)
        sessions = SessionRoutes(
            signIn: SignIn(
                database: database, hasher: hasher, queue: queue, accessTokens: accessTokens, configuration: configuration,
                logger: environment.logger))
        members = MemberRoutes(database: database, logger: environment.logger)
        tokens = TokenRoutes(
            database: database, key: signingKey, accessTokens: accessTokens,
            credentials: try ServiceSecrets(environment.secrets), logger: environment.logger)
        apiKeys = ApiKeyRoutes(database: database, accessTokens: accessTokens, logger: environment.logger)
        housekeeping = AuthenticationJobs(database: database, key: signingKey, configuration: configuration)
    }

    package var endpoints: [Endpoint] {
        users.endpoints + sessions.endpoints + members.endpoints + tokens.endpoints + apiKeys.endpoints
    }

    package var consumers: [Consumer] { [] }

    package var jobs: [Job] { housekeeping.jobs }

    package func prepare() async throws {
        try await housekeeping.announceKey()
        // Makes the hash that unknown addresses are checked against, so that not even the first of them takes longer.
        _ = await hasher.verify("", against: nil)
    }
}

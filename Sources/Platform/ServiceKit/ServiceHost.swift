package import Discovery
import HTTPTypes
package import Logging
package import Messaging
package import ServiceLifecycle
import Storage
import Values

/// A service with all that keeps it running: its database, its relay, its consumers and its jobs.
package struct ServiceHost: Sendable {
    package let name: ServiceName
    package let endpoints: [Endpoint]
    package let responder: ServiceResponder
    /// To be run until the process stops; the database last, for all others need it.
    package let services: [any Service]

    /// Brings the schema up to date and makes the service. Nothing runs yet.
    package static func make<S: Microservice>(
        _ type: S.Type, environment: ServiceEnvironment, broker: any Broker, outboxSignal: Signal, verifier: IdentityVerifier,
        logger: Logger
    ) async throws -> ServiceHost {
        let database = environment.database
        try await database.migrate([Outbox.migration, Idempotency.migration] + S.migrations)
        let service = try S(environment)
        try await service.prepare()
        let housekeeping = Job("housekeeping", every: .hours(1)) {
            try await Idempotency.forgetOld(in: database)
            try await database.write { tx in try Inbox.forgetOld(in: tx) }
        }
        var services: [any Service] = [OutboxRelay(database: database, broker: broker, signal: outboxSignal, logger: logger)]
        services += service.consumers.map { ConsumerRunner(consumer: $0, broker: broker, logger: logger) }
        services.append(environment.settings)
        services += (service.jobs + [housekeeping]).map { JobRunner($0, logger: logger) }
        return ServiceHost(
            name: S.name, endpoints: service.endpoints,
            responder: ServiceResponder(service: S.name, endpoints: service.endpoints, verifier: verifier, logger: logger),
            services: [database] + services)
    }

    /// Lets peers in the same process call this service's own responder.
    package func enter(_ transport: InProcessTransport) {
        let responder = responder
        transport.enter(name) { request in
            let reply = await responder.respond(
                to: IncomingRequest(
                    method: request.method, target: request.target, headers: request.headers, body: request.body, takesValue: true))
            return PeerResponse(status: reply.status.code, headers: reply.headers, body: reply.body, value: reply.value)
        }
    }
}

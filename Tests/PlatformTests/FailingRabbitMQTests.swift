import Logging
import Messaging
import Storage
import TestServers
import Testing
import Values

/// A network between this process and RabbitMQ that does not work.
@Suite struct FailingRabbitMQTests {
    @Test func `a network that swallows everything holds publishers up no longer than their limit, and nothing confirmed is lost`()
        async throws
    {
        try await RabbitMQServer.with { server, host in
            let network = try FragileNetwork(to: server.port)
            let broker = RabbitMQTests.broker(
                try server.address(host, port: network.port), publishLimit: .seconds(1), heartbeat: .seconds(2))
            try await broker.declare([RabbitMQTests.queue])
            let journal = Journal()
            let consumer = RabbitMQTests.consumer(of: broker, journal)
            defer { consumer.cancel() }
            let publishers = Publishers(broker)
            defer { publishers.cancel() }

            // For less time than it takes to notice: the same connections go on.
            try await FailingRabbitMQTests.pass(publishers, journal)
            let failures = publishers.failures
            network.swallow()
            try await eventually("publishing fails") { publishers.failures > failures }
            network.flow()
            try await FailingRabbitMQTests.pass(publishers, journal)

            // Until both sides have given up their connections.
            network.swallow()
            try await eventually("it is noticed") { (try? await broker.check()) == nil }
            network.flow()
            try await FailingRabbitMQTests.pass(publishers, journal)
            try await broker.check()

            await publishers.stop()
            // Its limit, and a connection that was being made.
            #expect(publishers.longest < .seconds(1 + 15))
            let all = publishers.confirmed.all
            try await eventually("all that was confirmed is handled") { all.isSubset(of: journal.all) }
            await broker.close()
        }
    }

    @Test func `connections that break again and again lose nothing that was confirmed`() async throws {
        try await RabbitMQServer.with { server, host in
            let network = try FragileNetwork(to: server.port)
            let broker = RabbitMQTests.broker(try server.address(host, port: network.port))
            try await broker.declare([RabbitMQTests.queue])
            let journal = Journal()
            let consumer = RabbitMQTests.consumer(of: broker, journal)
            defer { consumer.cancel() }
            let publishers = Publishers(broker)
            defer { publishers.cancel() }
            for _ in 0..<5 {
                try await FailingRabbitMQTests.pass(publishers, journal)
                let failures = publishers.failures
                network.reset()
                try await eventually("publishing fails") { publishers.failures > failures }
            }
            try await FailingRabbitMQTests.pass(publishers, journal)
            await publishers.stop()
            let all = publishers.confirmed.all
            try await eventually("all that was confirmed is handled") { all.isSubset(of: journal.all) }
            await broker.close()
        }
    }

    @Test func `events that are written while the network does not work are sent when it works again`() async throws {
        try await RabbitMQServer.with { server, host in
            let network = try FragileNetwork(to: server.port)
            let broker = RabbitMQTests.broker(
                try server.address(host, port: network.port), publishLimit: .seconds(1), heartbeat: .seconds(2))
            try await broker.declare([RabbitMQTests.queue])
            let journal = Journal()
            let consumer = RabbitMQTests.consumer(of: broker, journal)
            defer { consumer.cancel() }
            try await Engine.sqlite.withDatabase { database, _ in
                try await database.migrate([Outbox.migration])
                let signal = Signal()
                let outbox = Outbox(signal: signal)
                let relay = Task {
                    try await OutboxRelay(database: database, broker: broker, signal: signal, logger: RabbitMQTests.logger).run()
                }
                defer { relay.cancel() }
                var written = 0
                for isSwallowing in [false, true, false] {
                    if isSwallowing { network.swallow() } else { network.reset() }
                    for _ in 0..<10 {
                        written += 1
                        let version = Int64(written)
                        try await database.write { tx in
                            try outbox.append(SomethingHappened(text: "new"), of: "x", version: version, in: tx)
                        }
                    }
                    if isSwallowing { try await eventually("it is noticed") { (try? await broker.check()) == nil } }
                    network.flow()
                    try await eventually("all are handled, and none is left") {
                        let left = try await database.read { tx in try tx.row("SELECT id FROM outbox") }
                        return left == nil && journal.all.count == written
                    }
                }
            }
            await broker.close()
        }
    }

    /// Waits until more is published, and handled.
    private static func pass(_ publishers: Publishers, _ journal: Journal) async throws {
        let (confirmed, handled) = (publishers.confirmed.count, journal.all.count)
        try await eventually("it is published") { publishers.confirmed.count > confirmed + 200 }
        try await eventually("it is handled") { journal.all.count > handled + 200 }
    }
}

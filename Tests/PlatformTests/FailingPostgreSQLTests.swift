import Foundation
import Storage
import TestServers
import Testing
import Values

/// Servers of PostgreSQL that are not what they say they are, are lost for good, or are behind a network that does not work.
@Suite struct FailingPostgreSQLTests {
    // MARK: TLS

    @Test func `TLS wants a certificate that a trusted authority has given to this host`() async throws {
        let server = try await PostgreSQLServer.launched(certificateFor: "DNS:localhost")
        func address(_ host: String, authority: String) -> String {
            server.connectionString().replacing("host=127.0.0.1", with: "host=\(host)")
                + " sslmode=verify-full sslrootcert=\(authority)"
        }
        let connection: @Sendable (Transaction) throws -> Bool = { tx in
            try tx.row("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")!["ssl"]
        }
        try await PostgreSQLTests.withDatabase(connectionString: address("localhost", authority: server.authority)) { database in
            let isEncrypted = try await database.write(connection)
            #expect(isEncrypted)
            // Also a statement on an encrypted connection can be cancelled.
            await #expect(throws: StorageError.self) {
                try await Deadline.$current.withValue(.now + .seconds(1)) {
                    try await database.write { tx in _ = try tx.rows("SELECT 1 FROM (SELECT pg_sleep(60)) AS slept") }
                }
            }
            let isEncryptedAgain = try await database.write(connection)
            #expect(isEncryptedAgain)
        }
        let folder = NSTemporaryDirectory() + "authority-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try Certificate.make(in: folder, for: "DNS:localhost")
        let plain = try await PostgreSQLServer.shared.value
        let refused = [
            (address("127.0.0.1", authority: server.authority), "does not match host name \"127.0.0.1\""),
            (address("localhost", authority: "\(folder)/certificate.pem"), "certificate verify failed"),
            (address("localhost", authority: "\(folder)/nothing.pem"), "does not exist"),
            ("\(plain.connectionString()) sslmode=verify-full sslrootcert=\(server.authority)", "server does not support SSL"),
        ]
        try await withThrowingTaskGroup { group in
            for (address, reason) in refused {
                group.addTask {
                    let settings = PostgreSQLTests.settings { $0.patience = .seconds(5) }
                    try await PostgreSQLTests.withDatabase(settings: settings, connectionString: address) { database in
                        await #expect {
                            try await database.write(connection)
                        } throws: { error in
                            if case StorageError.unavailable(let message) = error { message.contains(reason) } else { false }
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    // MARK: Servers that are lost for good

    @Test func `when the primary is lost its standby has all that was written, and writing goes on there`() async throws {
        let pair = try await PostgreSQLPair.launched()
        let settings = PostgreSQLTests.settings { $0.connectTimeLimit = .seconds(10) }
        try await PostgreSQLTests.withDatabase(settings: settings, connectionString: pair.connectionString) { database in
            try await database.migrate([Writers.migration])
            let writers = Writers(database, limit: .seconds(30))
            try await writers.write(tasks: 20) {
                try await eventually("much is written") { writers.done >= 500 }
                try await pair.failOver()
                let before = writers.done
                try await eventually("writing goes on") { writers.done >= before + 500 }
            }
            #expect(writers.longest < .seconds(35))
            try await writers.check()
        }
    }

    // MARK: A network that does not work

    @Test func `a network that swallows everything holds nobody up beyond the deadline, and work goes on when it flows again`() async throws
    {
        let server = try await PostgreSQLServer.shared.value
        let network = try FragileNetwork(to: server.port)
        let schema = PostgreSQLTests.newSchema()
        let settings = PostgreSQLTests.settings { $0.connectTimeLimit = .seconds(2) }
        let address = server.connectionString(port: network.port)
        try await PostgreSQLTests.withDatabase { direct in
            try await PostgreSQLTests.withDatabase(schema: schema, settings: settings, connectionString: address) { database in
                try await database.migrate([Writers.migration])
                let writers = Writers(database, limit: .seconds(1))
                try await writers.write(tasks: 20) {
                    for _ in 0..<2 {
                        let (done, failed) = (writers.done, writers.failed)
                        try await eventually("it is written") { writers.done >= done + 100 }
                        network.swallow()
                        // Those that were under way, and those that came then.
                        try await eventually("all are told so") { writers.failed >= failed + 60 }
                        network.flow()
                    }
                    let done = writers.done
                    try await eventually("writing goes on") { writers.done >= done + 500 }
                }
                #expect(writers.longest < .seconds(20))
                try await writers.check()
                let most = settings.writers + settings.readers
                try await eventually("no session is left but those in use") {
                    let sessions = try await PostgreSQLTests.sessions(direct, of: schema)
                    return sessions <= most && network.connections <= most
                }
            }
            try await eventually("no session is left") {
                try await PostgreSQLTests.sessions(direct, of: schema) == 0 && network.connections == 0
            }
        }
    }

    @Test func `a server that does not even answer to a cancellation keeps none from being cancelled on the next one`() async throws {
        let server = try await PostgreSQLServer.shared.value
        let network = try FragileNetwork(to: server.port)
        let schema = PostgreSQLTests.newSchema()
        let settings = PostgreSQLTests.settings {
            $0.writers = 1
            $0.connectTimeLimit = .milliseconds(500)
            // Nothing else ends it.
            $0.statementTimeLimit = .minutes(10)
        }
        let sleep: @Sendable (Transaction) throws -> Void = { tx in _ = try tx.rows("SELECT 1 FROM (SELECT pg_sleep(300)) AS slept") }
        let both = server.connectionString().replacing("127.0.0.1", with: "127.0.0.1,127.0.0.1")
            .replacing("port=", with: "port=\(network.port),")
        try await PostgreSQLTests.withDatabase { direct in
            try await PostgreSQLTests.withDatabase(schema: schema, settings: settings, connectionString: both) { database in
                _ = try await database.write { tx in try tx.rows("SELECT 1 AS one") }
                #expect(network.connections == 1)
                network.swallow()
                for isAsleep in [false, true] {
                    await #expect(throws: StorageError.self) {
                        try await Deadline.$current.withValue(.now + .seconds(isAsleep ? 5 : 1)) { try await database.write(sleep) }
                    }
                }
                try await eventually("nothing sleeps any more") {
                    try await PostgreSQLTests.sessions(direct, of: schema, "query LIKE '%pg_sleep%' AND state = 'active'") == 0
                }
            }
        }
    }

    @Test func `a statement that comes to the server later than the word to cancel it is cancelled all the same`() async throws {
        try await PostgreSQLTests.withFragileDatabase { database, network in
            try await database.migrate([PostgreSQLTests.counter])
            await #expect {
                try await Deadline.$current.withValue(.now + .milliseconds(500)) {
                    try await database.write { tx in
                        try tx.execute("UPDATE counter SET value = 7 WHERE id = 1")
                        network.holdBack()
                        DispatchQueue.global().asyncAfter(deadline: .now() + 1) { network.flow() }
                        _ = try tx.rows("SELECT 1 FROM (SELECT pg_sleep(300)) AS slept")
                    }
                }
            } throws: { error in
                if case StorageError.deadline(begun: true) = error { true } else { false }
            }
            // Its lock is not there any more.
            try await database.write { tx in _ = try tx.execute("UPDATE counter SET value = value + 1 WHERE id = 1") }
            #expect(try await PostgreSQLTests.value(database) == 1)
        }
    }

    @Test func `connections that break again and again lose nothing`() async throws {
        let server = try await PostgreSQLServer.shared.value
        let network = try FragileNetwork(to: server.port)
        try await PostgreSQLTests.withDatabase(connectionString: server.connectionString(port: network.port)) { database in
            try await database.migrate([Writers.migration])
            let writers = Writers(database, limit: .seconds(30))
            try await writers.write(tasks: 20) {
                for _ in 0..<20 {
                    let done = writers.done
                    try await eventually("it is written") { writers.done >= done + 20 }
                    network.reset()
                }
            }
            try await writers.check()
        }
    }
}

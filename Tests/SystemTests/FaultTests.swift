import Contracts
import Discovery
import Foundation
import Glibc
import Synchronization
import TestServers
import Testing

extension WholeSystem {
    /// The distributed shape while people buy and one part after the other fails. Nothing that was acknowledged is lost, nothing is done
    /// twice, and nobody waits longer than they were promised.
    @Suite struct FaultTests {
        /// A request may take 10 seconds; a busy machine a little more.
        private static let longest = Duration.seconds(14)

        /// Of the registries as well, where there are some.
        @Test(arguments: [true, false])
        func `a rolling restart of every service puts off no request, whether addresses are found or fixed`(
            findsPeers: Bool
        ) async throws {
            try await withProgram(CrashTests.settings, shape: .distributed, findsPeers: findsPeers) { program in
                let market = try await Market(program)
                try await market.open {
                    for part in program.parts where part.role != "border-gateway" {
                        part.send(SIGTERM)
                        #expect(try await part.ended() == .exit(0), "\(part.role ?? "") did not end in peace")
                        try await program.start(part)
                    }
                }
                #expect(market.failures == 0, "of \(market.orders) orders")
                try await expectGoodEnd(of: program, market)
            }
        }

        @Test
        func `each service may be killed, one instance or both`() async throws {
            try await withProgram(CrashTests.settings, shape: .distributed) { program in
                let market = try await Market(program)
                try await market.open {
                    for role in Contracts.routes.map(\.service.description) {
                        let parts = program.parts(of: role)
                        for part in parts {
                            part.send(SIGKILL)
                            _ = try await part.ended()
                            // So long that there are requests without it.
                            try await Task.sleep(for: .milliseconds(300))
                        }
                        for part in parts { try await program.start(part) }
                    }
                }
                try await expectGoodEnd(of: program, market)
            }
        }

        @Test
        func `PostgreSQL may crash and come back`() async throws {
            let postgres = try await PostgreSQLServer.launched()
            try await RabbitMQServer.with { rabbit, host in
                let servers = Servers(database: postgres.connectionString(), broker: rabbit.url(host))
                try await withProgram(CrashTests.settings, on: servers) { program in
                    let market = try await Market(program)
                    try await market.open {
                        for _ in 0..<3 {
                            try await Task.sleep(for: .seconds(2))
                            try await postgres.crash()
                            try await Task.sleep(for: .milliseconds(500))
                            try await postgres.start()
                        }
                        try await Task.sleep(for: .seconds(2))
                    }
                    try await expectGoodEnd(of: program, market)
                }
            }
        }

        @Test
        func `a standby may take the place of a PostgreSQL that is lost`() async throws {
            let pair = try await PostgreSQLPair.launched()
            try await RabbitMQServer.with { rabbit, host in
                let servers = Servers(database: pair.connectionString, broker: rabbit.url(host))
                try await withProgram(CrashTests.settings, on: servers) { program in
                    let market = try await Market(program)
                    try await market.open {
                        try await Task.sleep(for: .seconds(2))
                        try await pair.failOver()
                        let before = market.orders
                        try await eventually("people buy again", within: .seconds(60)) { market.orders > before + 20 }
                    }
                    try await expectGoodEnd(of: program, market)
                }
            }
        }

        @Test
        func `a network that swallows all that goes to PostgreSQL for half a minute lets nobody wait longer than promised`() async throws {
            let postgres = try await PostgreSQLServer.launched()
            let network = try FragileNetwork(to: postgres.port)
            try await RabbitMQServer.with { rabbit, host in
                let servers = Servers(database: postgres.connectionString(port: network.port), broker: rabbit.url(host))
                try await withProgram(CrashTests.settings, on: servers) { program in
                    let market = try await Market(program)
                    try await market.open {
                        try await Task.sleep(for: .seconds(2))
                        network.swallow()
                        try await Task.sleep(for: .seconds(30))
                        network.flow()
                        let before = market.orders
                        try await eventually("people buy again", within: .seconds(60)) { market.orders > before + 20 }
                    }
                    try await expectGoodEnd(of: program, market)
                }
            }
        }

        @Test
        func `17: while RabbitMQ is away for a minute everything is sold, paid and issued, and afterwards told to all`() async throws {
            try await withRabbitMQ { rabbit, host, program, market in
                try await market.open(for: .seconds(2))
                try await rabbit.kill(host)
                try await Task.sleep(for: .seconds(30))
                try await market.open(for: .seconds(3))
                let (_, order) = try await market.shop.paid(2, buyer: Buyer(email: "patient@example.org", name: "Patient"))
                #expect(order.tickets.allSatisfy { $0.code != nil })
                try await Task.sleep(for: .seconds(25))
                #expect(try await program.mails(to: "patient@example.org").isEmpty)
                try await rabbit.start()
                try await eventually("the mail is there", within: .seconds(60)) {
                    try await program.mails(to: "patient@example.org").count == 1
                }
            }
        }

        @Test
        func `RabbitMQ may be killed and come back while people buy`() async throws {
            try await withRabbitMQ { rabbit, host, _, market in
                try await market.open {
                    try await Task.sleep(for: .seconds(2))
                    try await rabbit.kill(host)
                    try await Task.sleep(for: .seconds(1))
                    try await rabbit.start()
                    try await Task.sleep(for: .seconds(2))
                }
            }
        }

        @Test
        func `while RabbitMQ has a memory alarm people buy on`() async throws {
            try await withRabbitMQ { rabbit, _, _, market in
                try await market.open {
                    try await Task.sleep(for: .seconds(1))
                    try await rabbit.control("set_vm_memory_high_watermark", "absolute", "1024")
                    let before = market.orders
                    try await eventually("people buy", within: .seconds(20)) { market.orders > before + 20 }
                    try await rabbit.control("set_vm_memory_high_watermark", "0.4")
                    try await Task.sleep(for: .seconds(1))
                }
            }
        }

        /// The program on a RabbitMQ that no other test uses.
        private func withRabbitMQ(_ body: (RabbitMQServer, String, RunningProgram, Market) async throws -> Void) async throws {
            let postgres = try await PostgreSQLServer.shared.value
            let database = try await postgres.makeDatabase()
            try await RabbitMQServer.with(alone: true) { rabbit, host in
                try await withProgram(CrashTests.settings, on: Servers(database: database, broker: rabbit.url(host))) { program in
                    let market = try await Market(program)
                    try await body(rabbit, host, program, market)
                    try await expectGoodEnd(of: program, market)
                }
            }
        }

        private func expectGoodEnd(of program: RunningProgram, _ market: Market) async throws {
            try await market.expectEverythingHasEnded()
            #expect(program.slowest.withLock { $0 } < FaultTests.longest)
            try await program.stop()
            try await program.expectCleanBooks()
            try await market.expectNothingTwice()
        }
    }
}

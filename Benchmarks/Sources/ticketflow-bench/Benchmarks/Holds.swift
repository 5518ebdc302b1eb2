extension Benchmark {
    /// Durable holds on one hot pool at TicketManager's own listener, against a request that does nothing on the same listener.
    static let holds = Benchmark(name: "holds-sqlite") { bench in
        try bench.withShop { program, shop in
            let offer = try shop.offer(capacity: 10_000_000)
            var holders = (0..<bench.clients).map { Holder(offer, serviceToken: shop.serviceToken, name: "hold-\($0)") }
            var (noops, holds): ([Double], [Double]) = ([], [])
            for _ in 0..<bench.rounds {
                let idle = Array(repeating: Noop(), count: bench.clients)
                noops.append(try bench.measure("no-op", idle, port: program.ticketManagerPort, on: program).perSecond)
                let result = try bench.measure("holds", holders, port: program.ticketManagerPort, on: program)
                holds.append(result.perSecond)
                holders = result.scripts
            }
            try shop.expect(held: holders, of: offer)
            return Outcome(holds.median, "holds/s", yardstick: noops.median, atLeast: 0.5)
        }
    }

    /// The same in PostgreSQL, against `pgbench` on the same server, with 16 or 64 clients, whatever is more: a hot row is updated and
    /// another inserted in each of its transactions.
    static let holdsPostgreSQL = Benchmark(name: "holds-postgres") { bench in
        try bench.withPostgreSQL { server in
            try server.makeDatabase("ticketflow")
            return try bench.withShop(["TICKETFLOW_DATABASE_URL": server.url("ticketflow")]) { program, shop in
                let offer = try shop.offer(capacity: 10_000_000)
                var holders = (0..<bench.clients).map { Holder(offer, serviceToken: shop.serviceToken, name: "hold-\($0)") }
                var rows: [Int: [Double]] = [:]
                var holds: [Double] = []
                for _ in 0..<bench.rounds {
                    for clients in [16, 64] {
                        let perSecond = try server.hotRow(clients: clients, seconds: bench.seconds)
                        note("  pgbench with \(clients) clients: \(perSecond.text)/s")
                        rows[clients, default: []].append(perSecond)
                    }
                    let result = try bench.measure("holds", holders, port: program.ticketManagerPort, on: program)
                    holds.append(result.perSecond)
                    holders = result.scripts
                }
                try shop.expect(held: holders, of: offer)
                return Outcome(holds.median, "holds/s", yardstick: rows.values.map(\.median).max() ?? 0, atLeast: 5)
            }
        }
    }
}

extension Benchmark {
    /// Holds on one hot pool in PostgreSQL through two instances of TicketManager, half of 1,000 clients at each, against all at one. Each
    /// instance has a processor core of its own, as it has a machine of its own elsewhere: one alone would take both.
    static let holdsInstances = Benchmark(name: "holds-instances") { bench in
        let eventManager = try bench.load.freePorts(1)[0]
        return try bench.withPostgreSQL { server in
            try bench.withRabbitMQ { broker in
                let settings = ["TICKETFLOW_DATABASE_URL": server.url(), "TICKETFLOW_BROKER_URL": broker.url]
                let first = settings.merging(["TICKETFLOW_EVENT_MANAGER_LISTEN": "127.0.0.1:\(eventManager)"]) { $1 }
                return try bench.withShop(first, core: 0) { program, shop in
                    let peers = [
                        "TICKETFLOW_PEERS_EVENT_MANAGER": "127.0.0.1:\(eventManager)",
                        "TICKETFLOW_PEERS_AUTHENTICATION": "127.0.0.1:\(program.authenticationPort)",
                    ]
                    return try bench.withProgram(settings.merging(peers) { $1 }, roles: ["ticket-manager"], core: 1) { second in
                        let offer = try shop.offer(capacity: 10_000_000)
                        var holders = (0..<max(bench.clients, 1_000)).map {
                            Holder(offer, serviceToken: shop.serviceToken, name: "hold-\($0)")
                        }
                        var (alone, together): ([Double], [Double]) = ([], [])
                        for _ in 0..<bench.rounds {
                            let one = try bench.measure("one", holders, port: program.ticketManagerPort, on: program)
                            let two = try bench.measure(
                                "two", one.scripts, on: [(program, program.ticketManagerPort), (second, second.ticketManagerPort)])
                            alone.append(one.perSecond)
                            together.append(two.perSecond)
                            holders = two.scripts
                        }
                        try shop.expect(held: holders, of: offer)
                        return Outcome(together.median, "holds/s", yardstick: alone.median, atLeast: 1)
                    }
                }
            }
        }
    }
}

extension Shop {
    /// - Throws: where other than what the clients were told is held.
    func expect(held holders: [Holder], of offer: Offer) throws {
        let made = holders.reduce(0) { $0 + $1.count }
        let held = try stock(of: offer).held
        guard held == made else { throw Program.Failure(description: "\(made) holds were answered 201, but \(held) tickets are held") }
    }
}

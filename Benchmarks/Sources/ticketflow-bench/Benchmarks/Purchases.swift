extension Benchmark {
    /// Whole purchases through the front door, from the cart to issued tickets, against holds alone. A purchase waits for some fifteen
    /// commits one after the other, in five databases: a thousand buyers at once keep them as busy as 64 clients do one with holds.
    static let purchases = Benchmark(name: "purchases-sqlite") { bench in
        let (purchases, holds) = try bench.purchases([:], clients: max(bench.clients, 1_000))
        return Outcome(purchases, "purchases/s", yardstick: holds, atLeast: 0.1)
    }

    /// The same on PostgreSQL and RabbitMQ.
    static let purchasesPostgreSQL = Benchmark(name: "purchases-postgres") { bench in
        try bench.withPostgreSQL { database in
            try bench.withRabbitMQ { broker in
                let (purchases, holds) = try bench.purchases(
                    ["TICKETFLOW_DATABASE_URL": database.url(), "TICKETFLOW_BROKER_URL": broker.url], clients: bench.clients)
                return Outcome(purchases, "purchases/s", yardstick: holds, .none)
            }
        }
    }
}

extension Bench {
    /// Both per second, in turns.
    fileprivate func purchases(_ settings: [String: String], clients: Int) throws -> (purchases: Double, holds: Double) {
        try withShop(settings) { program, shop in
            let (held, sold) = (try shop.offer(capacity: 10_000_000), try shop.offer(capacity: 10_000_000))
            var holders = (0..<clients).map { Holder(held, serviceToken: shop.serviceToken, name: "hold-\($0)") }
            var (holds, purchases): ([Double], [Double]) = ([], [])
            for round in 0..<rounds {
                let result = try measure("holds", holders, port: program.ticketManagerPort, on: program)
                holds.append(result.perSecond)
                holders = result.scripts
                let buyers = buyers(sold, name: "round-\(round)", clients: clients)
                purchases.append(try measure("purchases", buyers, port: program.port, on: program).perSecond)
                note("  mails, reports and the like were done \(program.waitUntilQuiet().text) s later")
            }
            return (purchases.median, holds.median)
        }
    }

    /// As many as there are clients, where no other number is said.
    /// - Parameter name: unique within the program's life.
    func buyers(
        _ offer: Offer, name: String, clients: Int? = nil, quantity: Int = 1, orders: Int? = nil, untilSoldOut: Bool = false,
        keepsCodes: Bool = false
    ) -> [Buyer] {
        (0..<(clients ?? self.clients)).map { client in
            Buyer(
                offer, name: "\(name)-\(client)", quantity: quantity, orders: orders, untilSoldOut: untilSoldOut, keepsCodes: keepsCodes)
        }
    }
}

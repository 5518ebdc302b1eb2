extension Benchmark {
    /// Whole purchases through the front door, from the cart to issued tickets, against holds alone.
    static let purchases = Benchmark(name: "purchases-sqlite") { bench in
        let (purchases, holds) = try bench.purchases([:])
        return Outcome(purchases, "purchases/s", yardstick: holds, atLeast: 0.1)
    }

    /// The same on PostgreSQL and RabbitMQ.
    static let purchasesPostgreSQL = Benchmark(name: "purchases-postgres") { bench in
        try bench.withPostgreSQL { database in
            try bench.withRabbitMQ { broker in
                let (purchases, holds) = try bench.purchases([
                    "TICKETFLOW_DATABASE_URL": database.url(), "TICKETFLOW_BROKER_URL": broker.url,
                ])
                return Outcome(purchases, "purchases/s", yardstick: holds, .none)
            }
        }
    }
}

extension Bench {
    /// Both per second, in turns.
    fileprivate func purchases(_ settings: [String: String]) throws -> (purchases: Double, holds: Double) {
        try withShop(settings) { program, shop in
            let (held, sold) = (try shop.offer(capacity: 10_000_000), try shop.offer(capacity: 10_000_000))
            var holders = (0..<clients).map { Holder(held, serviceToken: shop.serviceToken, name: "hold-\($0)") }
            var (holds, purchases): ([Double], [Double]) = ([], [])
            for round in 0..<rounds {
                let result = try measure("holds", holders, port: program.ticketManagerPort, on: program)
                holds.append(result.perSecond)
                holders = result.scripts
                let buyers = buyers(sold, name: "round-\(round)")
                purchases.append(try measure("purchases", buyers, port: program.port, on: program).perSecond)
                note("  mails, reports and the like were done \(program.waitUntilQuiet().text) s later")
            }
            return (purchases.median, holds.median)
        }
    }

    /// As many as there are clients.
    /// - Parameter name: unique within the program's life.
    func buyers(
        _ offer: Offer, name: String, quantity: Int = 1, orders: Int? = nil, untilSoldOut: Bool = false, keepsCodes: Bool = false
    ) -> [Buyer] {
        (0..<clients).map { client in
            Buyer(
                offer, name: "\(name)-\(client)", quantity: quantity, orders: orders, untilSoldOut: untilSoldOut, keepsCodes: keepsCodes)
        }
    }
}

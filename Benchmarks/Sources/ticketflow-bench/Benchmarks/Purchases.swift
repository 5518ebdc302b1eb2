extension Benchmark {
    /// Whole purchases through the front door, from the cart to issued tickets, against holds alone.
    static let purchases = Benchmark(name: "purchases-sqlite") { bench in
        try bench.withShop { program, shop in
            let (held, sold) = (try shop.offer(capacity: 10_000_000), try shop.offer(capacity: 10_000_000))
            var holders = (0..<bench.clients).map { Holder(held, serviceToken: shop.serviceToken, name: "hold-\($0)") }
            var (holds, purchases): ([Double], [Double]) = ([], [])
            for round in 0..<bench.rounds {
                let result = try bench.measure("holds", holders, port: program.ticketManagerPort, on: program)
                holds.append(result.perSecond)
                holders = result.scripts
                let buyers = bench.buyers(sold, name: "round-\(round)")
                purchases.append(try bench.measure("purchases", buyers, port: program.port, on: program).perSecond)
                note("  mails, reports and the like were done \(program.waitUntilQuiet().text) s later")
            }
            return Outcome(purchases.median, "purchases/s", yardstick: holds.median, atLeast: 0.1)
        }
    }
}

extension Bench {
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

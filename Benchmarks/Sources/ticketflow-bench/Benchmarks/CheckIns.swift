extension Benchmark {
    /// Scans at the door, each ticket in and out in turn, against a request that does nothing on the same listener.
    static let checkIn = Benchmark(name: "checkin-sqlite") { bench in
        try bench.withShop { program, shop in
            let offer = try shop.offer(capacity: 1_000_000)
            let buyers = bench.buyers(offer, name: "guest", quantity: 10, orders: 4, keepsCodes: true)
            var doors = try bench.load.run(buyers, port: program.port).scripts.enumerated().map { index, buyer in
                Door(offer, codes: buyer.codes, token: shop.ownerToken, name: "door-\(index)")
            }
            program.waitUntilQuiet()
            var (noops, scans): ([Double], [Double]) = ([], [])
            for _ in 0..<bench.rounds {
                let idle = Array(repeating: Noop(), count: bench.clients)
                noops.append(try bench.measure("no-op", idle, port: program.ticketManagerPort, on: program).perSecond)
                let result = try bench.measure("scans", doors, port: program.ticketManagerPort, on: program)
                scans.append(result.perSecond)
                doors = result.scripts
            }
            return Outcome(scans.median, "scans/s", yardstick: noops.median, atLeast: 0.3)
        }
    }
}

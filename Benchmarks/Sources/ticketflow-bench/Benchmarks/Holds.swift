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
            let made = holders.reduce(0) { $0 + $1.count }
            let held = try shop.stock(of: offer).held
            guard held == made else { throw Program.Failure(description: "\(made) holds were answered 201, but \(held) tickets are held") }
            return Outcome(holds.median, "holds/s", yardstick: noops.median, atLeast: 0.5)
        }
    }
}

extension Benchmark {
    /// Everybody wants one of 500 tickets: until the last order is paid, and how long those wait who are told that there is none.
    static let sellOut = Benchmark(name: "sellout") { bench in
        try bench.withShop { program, shop in
            let capacity = 500
            var (seconds, p50, p99): ([Double], [Double], [Double]) = ([], [], [])
            for round in 0..<bench.rounds {
                let offer = try shop.offer(capacity: capacity)
                let buyers = bench.buyers(offer, name: "sale-\(round)", untilSoldOut: true, keepsCodes: true)
                let result = try bench.load.run(buyers, port: program.port)
                let stock = try shop.stock(of: offer)
                let codes = Set(result.scripts.flatMap(\.codes))
                guard stock == (0, capacity), result.operations.count == capacity, codes.count == capacity else {
                    throw Program.Failure(
                        description: """
                            of \(capacity) tickets \(stock.sold) were sold and \(stock.held) are still held, with \
                            \(result.operations.count) paid orders and \(codes.count) codes
                            """)
                }
                seconds.append(result.seconds)
                p50.append(result.refusals.percentile(50))
                p99.append(result.refusals.percentile(99))
                note(
                    """
                      sold out after \(result.seconds.text) s, a purchase took p50 \(result.operations.percentile(50).text) ms, \
                    p99 \(result.operations.percentile(99).text) ms; \(result.refusals.count) refusals took p50 \
                    \(p50[round].text) ms, p99 \(p99[round].text) ms
                    """)
                program.waitUntilQuiet()
            }
            return Outcome(
                seconds.median, "s", atMost: 1,
                more: [("losers_p50_ms", p50.median, p50.median < 100), ("losers_p99_ms", p99.median, p99.median < 100)])
        }
    }
}

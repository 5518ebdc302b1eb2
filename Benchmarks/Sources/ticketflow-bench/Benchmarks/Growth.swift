extension Benchmark {
    /// Holds and purchases after many tickets were sold, against the same after 1,000.
    static let growth = Benchmark(name: "growth") { bench in
        try bench.withShop { program, shop in
            let offer = try shop.offer(capacity: 10_000_000)
            var sold = try bench.sell(offer, upTo: 1_000, before: 0, on: program)
            let before = try bench.look(at: offer, shop, program, "before")
            sold += before.tickets
            sold = try bench.sell(offer, upTo: bench.tickets, before: sold, on: program)
            let after = try bench.look(at: offer, shop, program, "after")
            let memory = program.memory
            note("  \(sold + after.tickets) tickets were sold; MB \(memory.now.text), at most \(memory.most.text)")
            let purchases = after.purchases / before.purchases
            return Outcome(
                after.holds, "holds/s", yardstick: before.holds, atLeast: 0.9,
                more: [
                    ("holds_p50_ratio", after.holdLatency / before.holdLatency, after.holdLatency <= before.holdLatency * 1.2),
                    ("purchases_ratio", purchases, purchases >= 0.9),
                    ("purchases_before", before.purchases, true), ("purchases_after", after.purchases, true),
                    ("purchases_p50_ratio", after.p50 / before.p50, true), ("purchases_p99_ratio", after.p99 / before.p99, true),
                ])
        }
    }
}

extension Bench {
    /// What is compared: holds and purchases per second, latencies in milliseconds; all medians of the rounds.
    fileprivate struct Look {
        var holds = 0.0
        var holdLatency = 0.0
        var purchases = 0.0
        var p50 = 0.0
        var p99 = 0.0
        /// Sold while looking.
        var tickets = 0
    }

    /// - Parameter name: unique within the program's life.
    fileprivate func look(at offer: Offer, _ shop: Shop, _ program: Program, _ name: String) throws -> Look {
        note("  mails, reports and the like were done \(program.waitUntilQuiet().text) s later")
        var holders = (0..<clients).map { Holder(offer, serviceToken: shop.serviceToken, name: "\(name)-hold-\($0)") }
        var rounds: [Look] = []
        var tickets = 0
        for round in 0..<self.rounds {
            let holds = try measure("holds \(name)", holders, port: program.ticketManagerPort, on: program)
            holders = holds.scripts
            let buyers = buyers(offer, name: "\(name)-\(round)")
            let purchases = try measure("purchases \(name)", buyers, port: program.port, on: program)
            tickets += purchases.scripts.reduce(0) { $0 + $1.tickets }
            rounds.append(
                Look(
                    holds: holds.perSecond, holdLatency: holds.operations.percentile(50), purchases: purchases.perSecond,
                    p50: purchases.operations.percentile(50), p99: purchases.operations.percentile(99)))
            program.waitUntilQuiet()
        }
        return Look(
            holds: rounds.map(\.holds).median, holdLatency: rounds.map(\.holdLatency).median,
            purchases: rounds.map(\.purchases).median, p50: rounds.map(\.p50).median, p99: rounds.map(\.p99).median, tickets: tickets)
    }

    /// Sells in orders of ten, and tells how far it is.
    /// - Returns: how many are sold then.
    fileprivate func sell(_ offer: Offer, upTo goal: Int, before: Int, on program: Program) throws -> Int {
        var sold = before
        while sold < goal {
            let orders = min(20, ((goal - sold + 9) / 10 + clients - 1) / clients)
            let result = try load.run(buyers(offer, name: "sell-\(sold)", quantity: 10, orders: orders), port: program.port)
            sold += result.operations.count * 10
            note("  \(sold) of \(goal) tickets sold, \((result.perSecond * 10).text)/s")
        }
        return sold
    }
}

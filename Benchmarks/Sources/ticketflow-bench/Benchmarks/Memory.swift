extension Benchmark {
    /// Resident memory of the whole system in one process after ten seconds of purchases.
    static let memory = Benchmark(name: "memory") { bench in
        try bench.withShop { program, shop in
            let offer = try shop.offer(capacity: 10_000_000)
            let before = program.memory.now
            let time = Load.Time(warmUp: 0, measured: 10)
            let result = try bench.measure("purchases", bench.buyers(offer, name: "memory"), port: program.port, on: program, time: time)
            let after = program.memory
            program.waitUntilQuiet()
            note("  MB before \(before.text), after \(after.now.text) (at most \(after.most.text)), when quiet \(program.memory.now.text)")
            return Outcome(
                after.now, "MB", atMost: 150,
                more: [
                    ("before", before, true), ("most", after.most, true), ("quiet", program.memory.now, true),
                    ("purchases", Double(result.operations.count), true),
                ])
        }
    }
}

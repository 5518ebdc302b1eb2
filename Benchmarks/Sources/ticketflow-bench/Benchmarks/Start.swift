extension Benchmark {
    /// From the making of the process to the first 200 of `GET /health/ready`: on a new data folder, and on one that was used.
    static let start = Benchmark(name: "start") { bench in
        var (fresh, existing): ([Double], [Double]) = ([], [])
        for _ in 0..<5 {
            try bench.withFolder { folder in
                let first = try Program(bench.binary, on: folder, load: bench.load)
                fresh.append(try first.waitUntilReady())
                first.stop()
                let second = try Program(bench.binary, on: folder, load: bench.load)
                existing.append(try second.waitUntilReady())
                second.stop()
            }
        }
        note("  s on a new folder: \(fresh.map(\.text).joined(separator: " ")), again: \(existing.map(\.text).joined(separator: " "))")
        return Outcome(
            max(fresh.median, existing.median), "s", atMost: 1,
            more: [("fresh", fresh.median, true), ("existing", existing.median, true)])
    }
}

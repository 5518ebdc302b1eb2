import Foundation
import NIOCore

extension Benchmark {
    /// How long a hold takes where millions of tickets were sold before, against where ten thousand were: the 99th percentile, at a
    /// load of half of what the smaller one can carry. Two databases on one server, each with a program, in turns.
    static let holdsGrowth = Benchmark(name: "holds-growth") { bench in
        guard let filled = bench.filled else {
            return try bench.withPostgreSQL { server in
                try server.makeDatabase("large")
                try bench.fill(server.url("large"), tickets: bench.sold)
                return try bench.compare(large: server.url("large"))
            }
        }
        return try bench.compare(large: filled)
    }
}

extension Bench {
    private static let few = 10_000

    /// One after the other, since both listen where there is room.
    fileprivate func fill(_ url: String, tickets: Int) throws {
        try withProgram(["TICKETFLOW_DATABASE_URL": url]) { _ in }
        try Fill(url: url, tickets: tickets, seed: 1).run()
    }

    fileprivate func compare(large: String) throws -> Outcome {
        let name = "ticketflow_bench_\(getpid())"
        guard var small = URL(string: large) else { throw Program.Failure(description: "\(large) is no URL") }
        small = small.deletingLastPathComponent().appending(path: name)
        try PostgreSQL.query("CREATE DATABASE \(name)", at: large)
        defer { _ = try? PostgreSQL.query("DROP DATABASE \(name) WITH (FORCE)", at: large) }
        try fill(small.absoluteString, tickets: Bench.few)
        let sold = try PostgreSQL.query("SELECT SUM(tickets) FROM bench.filled", at: large)
        note("  \(sold) tickets against \(Bench.few)")
        return try withShop(["TICKETFLOW_DATABASE_URL": small.absoluteString]) { smallProgram, smallShop in
            try withShop(["TICKETFLOW_DATABASE_URL": large]) { largeProgram, largeShop in
                var few = Side(name: "few", program: smallProgram, holders: try holders(smallShop))
                var many = Side(name: "many", program: largeProgram, holders: try holders(largeShop))
                // Both, so that both are as warm; the first says what half of it is.
                let most = try few.look(self, perSecond: nil)
                _ = try many.look(self, perSecond: nil)
                (few.p99, few.p50, many.p99, many.p50) = ([], [], [], [])
                for _ in 0..<rounds {
                    _ = try few.look(self, perSecond: most / 2)
                    _ = try many.look(self, perSecond: most / 2)
                }
                return Outcome(
                    many.p99.median, "ms", yardstick: few.p99.median, .ratioAtMost(1.2),
                    more: [
                        ("p50", many.p50.median, true), ("p50_yardstick", few.p50.median, true), ("load", most / 2, true),
                        ("tickets", Double(sold) ?? 0, true),
                    ])
            }
        }
    }

    private func holders(_ shop: Shop) throws -> [Holder] {
        let offer = try shop.offer(capacity: 10_000_000)
        return (0..<clients).map { Holder(offer, serviceToken: shop.serviceToken, name: "hold-\($0)") }
    }

    /// One of the two, and the latencies that it had.
    private struct Side {
        let name: String
        let program: Program
        var holders: [Holder]
        var p99: [Double] = []
        var p50: [Double] = []

        /// - Parameter load: nil for as much as it can.
        /// - Returns: how many it made a second.
        mutating func look(_ bench: Bench, perSecond load: Double?) throws -> Double {
            var scripts = holders
            if let load {
                let interval = Double(holders.count) / load * 1e9
                scripts = holders.enumerated().map { index, holder in
                    holder.paced(
                        .nanoseconds(Int64(interval)), after: .nanoseconds(Int64(interval * Double(index) / Double(holders.count))))
                }
            }
            let result = try bench.measure("holds after \(name)", scripts, port: program.ticketManagerPort, on: program)
            holders = result.scripts.map { $0.unpaced }
            p99.append(result.operations.percentile(99))
            p50.append(result.operations.percentile(50))
            return result.perSecond
        }
    }
}

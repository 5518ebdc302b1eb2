import Foundation

/// What all benchmarks are run with.
struct Bench {
    let binary: String
    /// Where data folders are made.
    let scratch: String
    let clients: Int
    /// How long each load is measured.
    let seconds: Double
    /// How often a load and its yardstick take turns.
    let rounds: Int
    /// How many tickets `growth` sells.
    let tickets: Int
    /// How many tickets were sold before in `holds-growth`.
    let sold: Int
    /// The database of those, where it was filled before.
    let filled: String?
    let load = Load()

    /// Not measured: caches fill, statements are prepared.
    private static let warmUp = 1.0

    var time: Load.Time { Load.Time(warmUp: Bench.warmUp, measured: seconds) }

    /// Runs the program on a new data folder.
    /// - Parameters:
    ///   - settings: further ones, by the names of their variables.
    ///   - roles: what it runs; a whole system if none is named.
    ///   - core: the only processor core that it may use; nil for all.
    func withProgram<Result>(
        _ settings: [String: String] = [:], roles: [String] = [], core: Int? = nil, _ body: (Program) throws -> Result
    ) throws -> Result {
        try withFolder { folder in
            let program = try Program(binary, roles: roles, on: folder, settings: settings, core: core, load: load)
            defer { program.stop() }
            try program.waitUntilReady()
            do {
                return try body(program)
            } catch {
                let said = program.said()
                if !said.isEmpty { note("the program said:\n\(said)") }
                throw error
            }
        }
    }

    /// Runs the program on a new data folder, with an organizer in it.
    func withShop<Result>(
        _ settings: [String: String] = [:], core: Int? = nil, _ body: (Program, Shop) throws -> Result
    ) throws -> Result {
        try withProgram(settings, core: core) { program in try body(program, try Shop(program, load: load)) }
    }

    /// Runs a PostgreSQL in a new folder.
    func withPostgreSQL<Result>(_ body: (PostgreSQL) throws -> Result) throws -> Result {
        try withFolder { folder in
            let server = try PostgreSQL(in: folder, port: try load.freePorts(1)[0])
            defer { server.stop() }
            return try body(server)
        }
    }

    /// Runs a RabbitMQ in a new folder.
    func withRabbitMQ<Result>(_ body: (RabbitMQ) throws -> Result) throws -> Result {
        try withFolder { folder in
            let server = try RabbitMQ(in: folder, ports: try load.freePorts(3))
            defer { server.stop() }
            return try body(server)
        }
    }

    /// A path for a data folder that is removed afterwards, with what the program has said beside it.
    func withFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
        let parent = "\(scratch)/ticketflow-bench-\(getpid())-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: parent) }
        return try body("\(parent)/data")
    }

    /// The same with all clients at one port of one program.
    func measure<S: Script>(_ what: String, _ scripts: [S], port: Int, on program: Program, time: Load.Time? = nil) throws -> LoadResult<S>
    {
        try measure(what, scripts, on: [(program, port)], time: time)
    }

    /// Runs a load for the usual time, and tells how it went.
    /// - Parameter places: programs and their ports, among which the clients are divided.
    func measure<S: Script>(
        _ what: String, _ scripts: [S], on places: [(program: Program, port: Int)], time: Load.Time? = nil
    ) throws -> LoadResult<S> {
        func processorSeconds() -> Double { places.reduce(0) { $0 + $1.program.processorSeconds } }
        let before = processorSeconds()
        let result = try load.run(scripts, ports: places.map(\.port), time: time ?? self.time)
        guard result.operations.count > 0 else { throw Program.Failure(description: "of \(what) not one was done in time") }
        let cores = (processorSeconds() - before) / ((time ?? self.time).warmUp + result.seconds)
        note(
            """
              \(what): \(result.perSecond.text)/s, p50 \(result.operations.percentile(50).text) ms, \
            p99 \(result.operations.percentile(99).text) ms, \((cores * 1e6 / result.perSecond).text) µs of processor each; \
            the client took \(result.clientCores.text) cores
            """)
        return result
    }
}

/// One thing that is measured.
struct Benchmark: Sendable {
    let name: String
    let run: @Sendable (Bench) throws -> Outcome

    static let all = [
        holds, purchases, checkIn, memory, start, sellOut, growth, holdsPostgreSQL, holdsInstances, purchasesPostgreSQL, messagesRabbitMQ,
        holdsGrowth, registryHeartbeats, configReads, gateway, gatewayFirewall, gatewayFirewallNginx,
    ]
}

/// What came of a benchmark.
struct Outcome {
    enum Goal {
        /// `value / yardstick` has to reach it.
        case ratioAtLeast(Double)
        /// `value / yardstick` may not be more.
        case ratioAtMost(Double)
        /// `value` may not be more; the goal itself is the yardstick.
        case valueAtMost(Double)
        /// It is told and that is all.
        case none
    }

    let value: Double
    let unit: String
    let yardstick: Double
    let goal: Goal
    /// Further values and goals that have to be met, by name.
    var more: [(name: String, value: Double, isMet: Bool)]

    init(
        _ value: Double, _ unit: String, yardstick: Double, _ goal: Goal, more: [(name: String, value: Double, isMet: Bool)] = []
    ) {
        self.value = value
        self.unit = unit
        self.yardstick = yardstick
        self.goal = goal
        self.more = more
    }

    init(_ value: Double, _ unit: String, yardstick: Double, atLeast goal: Double, more: [(name: String, value: Double, isMet: Bool)] = [])
    {
        self.init(value, unit, yardstick: yardstick, .ratioAtLeast(goal), more: more)
    }

    init(_ value: Double, _ unit: String, atMost goal: Double, more: [(name: String, value: Double, isMet: Bool)] = []) {
        self.init(value, unit, yardstick: goal, .valueAtMost(goal), more: more)
    }

    var ratio: Double { value / yardstick }

    var isMet: Bool {
        let isMet =
            switch goal {
            case .ratioAtLeast(let least): ratio >= least
            case .ratioAtMost(let most): ratio <= most
            case .valueAtMost(let most): value <= most
            case .none: true
            }
        return isMet && more.allSatisfy(\.isMet)
    }

    /// `holds-sqlite ratio=0.61 goal=0.5 value=21000 unit=holds/s yardstick=34000 met=yes`
    func line(_ name: String) -> String {
        let goal =
            switch goal {
            case .ratioAtLeast(let goal), .ratioAtMost(let goal), .valueAtMost(let goal): goal.text
            case .none: "none"
            }
        let more = more.map { " \($0.name)=\($0.value.text)" }.joined()
        return """
            \(name) ratio=\(ratio.text) goal=\(goal) value=\(value.text) unit=\(unit) yardstick=\(yardstick.text) \
            met=\(isMet ? "yes" : "no")\(more)
            """
    }
}

extension Double {
    /// Three figures that matter: `34200`, `61.3`, `0.613`.
    var text: String {
        switch abs(self) {
        case 0: "0"
        case ..<1: String(format: "%.3f", self)
        case ..<10: String(format: "%.2f", self)
        case ..<100: String(format: "%.1f", self)
        default: String(format: "%.0f", self)
        }
    }
}

extension [Double] {
    /// The middle; of an even number the mean of the middle two.
    var median: Double {
        guard !isEmpty else { return 0 }
        let sorted = sorted()
        return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2
    }
}

import ArgumentParser
import Foundation
import NIOCore

struct RegistryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "registry",
        abstract: "Registers many instances at a registry by itself, and holds their heartbeats for a while.",
        discussion: """
            Each instance has its own connection, and renews its lease every 30 seconds. Beside that the registry is read, and its memory \
            looked at, every few seconds. Prints what was measured on standard output; fails where a lease was lost.
            """)

    @Option(help: "How many instances there are.")
    var instances = 1_000

    @Option(help: "For how many minutes.")
    var minutes = 5.0

    @Option(help: "The program, built for release (default: $TICKETFLOW, else .build/release/ticketflow).")
    var binary: String?

    @Option(help: "The folder in which a data folder is made.")
    var scratch = "/var/tmp"

    func validate() throws {
        guard (1...10_000).contains(instances), minutes > 0 else {
            throw ValidationError("Instances are from 1 to 10,000, minutes more than 0.")
        }
    }

    func run() throws {
        let path = binary ?? ProcessInfo.processInfo.environment["TICKETFLOW"] ?? ".build/release/ticketflow"
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw ValidationError("There is no program at \(path). Make it with `make build`, or say where it is with --binary.")
        }
        let bench = Bench(
            binary: path, scratch: scratch, clients: instances, seconds: minutes * 60, rounds: 1, tickets: 0, sold: 0, filled: nil)
        try bench.withProgram(roles: ["service-registry"]) { program in
            try RegistryLoad(instances: instances, seconds: minutes * 60, program: program, load: bench.load).run()
        }
    }
}

/// Instances that are registered for some minutes, and whoever reads of them meanwhile.
private struct RegistryLoad {
    let instances: Int
    let seconds: Double
    let program: Program
    let load: Load

    private static let interval = 30.0

    private static let fetches: [(name: String, path: String, fields: String)] = [
        ("apps, JSON", "/eureka/apps/", "Accept: application/json\r\n"),
        ("apps, JSON, gzip", "/eureka/apps/", "Accept: application/json\r\nAccept-Encoding: gzip\r\n"),
        ("apps, XML", "/eureka/apps/", ""),
        ("delta, JSON", "/eureka/apps/delta", "Accept: application/json\r\n"),
        (
            "one instance, JSON", "/eureka/apps/\(RegisteredInstance.application)/\(RegisteredInstance(number: 0).id)",
            "Accept: application/json\r\n"
        ),
    ]

    func run() throws {
        let all = (0..<instances).map { RegisteredInstance(number: $0) }
        let before = program.memory
        let registered = try load.run(all.map { Registration(instance: $0) }, port: program.port)
        print(
            """
            registered \(registered.operations.count) instances in \(registered.seconds.text) s; MB before \(before.now.text), \
            after \(program.memory.now.text)
            """)
        let held = try holdHeartbeats(of: all) { try read() }
        let memory = program.memory
        print(
            """
            \(held.operations.count) heartbeats in \(seconds.text) s, p50 \(held.operations.percentile(50).text) ms, \
            p99 \(held.operations.percentile(99).text) ms; MB at the end \(memory.now.text), at most \(memory.most.text)
            """)
        let hash = try load.call("GET", "/eureka/apps/", port: program.port, fields: "Accept: application/json\r\n")
            .json["applications"]?["apps__hashcode"]?.string
        guard hash == "UP_\(instances)_" else {
            throw Program.Failure(description: "there were to be \(instances) instances, but there are \(hash ?? "none")")
        }
    }

    /// - Parameter read: is called again and again meanwhile.
    private func holdHeartbeats(of all: [RegisteredInstance], while read: () throws -> Void) throws -> LoadResult<Heartbeats> {
        let spread = RegistryLoad.interval / Double(instances)
        let scripts = all.enumerated().map { index, instance in
            Heartbeats(
                instance, every: .seconds(Int64(RegistryLoad.interval)), after: .milliseconds(Int64(Double(index) * spread * 1_000)))
        }
        let outcome = Background(port: program.port, scripts: scripts, seconds: seconds)
        while outcome.result == nil { try read() }
        return try outcome.result!.get()
    }

    private func read() throws {
        var figures: [String] = []
        for fetch in RegistryLoad.fetches {
            var times: [Int64] = []
            var bytes = 0
            for _ in 0..<20 {
                let begin = NIODeadline.now()
                let answer = try load.call("GET", fetch.path, port: program.port, fields: fetch.fields)
                times.append((NIODeadline.now() - begin).nanoseconds)
                try answer.expect(200, "GET of a registry")
                bytes = answer.body.readableBytes
            }
            let latencies = Latencies(times)
            figures.append(
                "\(fetch.name) \(bytes) bytes p50 \(latencies.percentile(50).text) ms, at most \(latencies.percentile(100).text) ms")
        }
        print("MB \(program.memory.now.text); \(figures.joined(separator: "; "))")
        fflush(nil)
        sleep(10)
    }
}

/// A load on a thread of its own, and what came of it.
private final class Background: @unchecked Sendable {
    private let lock = NSLock()
    private var outcome: Result<LoadResult<Heartbeats>, any Error>?

    /// Nil while it runs.
    var result: Result<LoadResult<Heartbeats>, any Error>? { lock.withLock { outcome } }

    init(port: Int, scripts: [Heartbeats], seconds: Double) {
        Thread.detachNewThread {
            let outcome = Result { try Load().run(scripts, port: port, time: Load.Time(warmUp: 0, measured: seconds)) }
            self.lock.withLock { self.outcome = outcome }
        }
    }
}

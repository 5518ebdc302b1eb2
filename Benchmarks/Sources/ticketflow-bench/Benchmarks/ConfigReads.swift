import Foundation

extension Benchmark {
    /// Settings of a service read from a Config Server on a git repository, against a request that does nothing on the same server.
    static let configReads = Benchmark(name: "config-reads") { bench in
        try bench.withFolder { folder in
            let repository = try ConfigReads.repository(beside: folder)
            let settings = [
                "TICKETFLOW_CONFIG_SERVER_BACKENDS": "git:\(repository)", "TICKETFLOW_CONFIG_SERVER_USERS": "sales-manager",
                "TICKETFLOW_CONFIG_SERVER_USER_SALES_MANAGER_PASSWORD": ConfigReads.password,
            ]
            return try bench.withProgram(settings, roles: ["config-server"]) { program in
                var (noops, reads): ([Double], [Double]) = ([], [])
                for _ in 0..<bench.rounds {
                    let idle = Array(repeating: Noop(), count: bench.clients)
                    noops.append(try bench.measure("no-op", idle, port: program.port, on: program).perSecond)
                    let readers = Array(repeating: ConfigReads(), count: bench.clients)
                    reads.append(try bench.measure("reads", readers, port: program.port, on: program).perSecond)
                }
                return Outcome(reads.median, "reads/s", yardstick: noops.median, atLeast: 0.5)
            }
        }
    }
}

/// Reads the settings of one service again and again.
private struct ConfigReads: Script {
    static let password = "benchmark"

    private let request = Request(
        "GET", "/sales-manager/default/main",
        fields: "Authorization: Basic \(Data("sales-manager:\(password)".utf8).base64EncodedString())\r\n")

    mutating func next(after answer: Answer?, _ turn: inout Turn) throws -> Step {
        if let answer {
            try answer.expect(200, "GET /sales-manager/default/main")
            turn.complete()
        }
        guard turn.goesOn else { return .stop }
        turn.begin()
        request.write(to: &turn.out)
        return .request
    }

    /// A repository with as many settings as a service of a larger system has.
    static func repository(beside folder: String) throws -> String {
        let path = "\(folder)-settings"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        for (name, count) in [("application", 40), ("sales-manager", 20), ("ticket-manager", 20)] {
            let lines = (0..<count).map { "\(name).section\($0 / 10).setting\($0): value \($0)\n" }
            try lines.joined().write(toFile: "\(path)/\(name).yml", atomically: true, encoding: .utf8)
        }
        for arguments in [["init", "--quiet", "--initial-branch=main"], ["add", "--all"], ["commit", "--quiet", "--message=Settings"]] {
            let git = try ChildProcess(
                ["git", "-C", path, "-c", "user.name=Benchmark", "-c", "user.email=benchmark@example.org"] + arguments,
                environment: ["HOME": path], output: "\(path).log")
            guard git.wait() == 0 else {
                throw Program.Failure(description: "git \(arguments[0]) failed: \(readText("\(path).log") ?? "")")
            }
        }
        return path
    }
}

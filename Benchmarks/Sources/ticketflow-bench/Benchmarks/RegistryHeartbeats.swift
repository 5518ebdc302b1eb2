extension Benchmark {
    /// Renewals of leases at a registry by itself, against a request that does nothing on the same listener.
    static let registryHeartbeats = Benchmark(name: "registry-heartbeats") { bench in
        try bench.withProgram(roles: ["service-registry"]) { program in
            let instances = (0..<bench.clients).map { RegisteredInstance(number: $0) }
            _ = try bench.load.run(instances.map { Registration(instance: $0) }, port: program.port)
            var (noops, heartbeats): ([Double], [Double]) = ([], [])
            for _ in 0..<bench.rounds {
                let idle = Array(repeating: Noop(), count: bench.clients)
                noops.append(try bench.measure("no-op", idle, port: program.port, on: program).perSecond)
                heartbeats.append(
                    try bench.measure("heartbeats", instances.map { Heartbeats($0) }, port: program.port, on: program).perSecond)
            }
            return Outcome(heartbeats.median, "heartbeats/s", yardstick: noops.median, atLeast: 0.5)
        }
    }
}

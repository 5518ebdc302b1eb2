extension Benchmark {
    /// Small GETs through the gateway, which looks at their tokens and counts them, against the same through nginx, which does neither:
    /// both before one EventManager, in turns. Half of either's load tells what each adds to the time of a request that goes there directly.
    static let gateway = Benchmark(name: "gateway") { bench in
        let ports = try bench.load.freePorts(2)
        return try bench.withShop(["TICKETFLOW_EVENT_MANAGER_LISTEN": "127.0.0.1:\(ports[0])"]) { program, shop in
            let offer = try shop.offer(capacity: 1)
            let settings = [
                "TICKETFLOW_PEERS_EVENT_MANAGER": "127.0.0.1:\(ports[0])",
                "TICKETFLOW_PEERS_AUTHENTICATION": "127.0.0.1:\(program.authenticationPort)",
                // Counted, and never refused.
                "TICKETFLOW_BORDER_GATEWAY_LIMITS_ADDRESS": "1000000/s", "TICKETFLOW_BORDER_GATEWAY_LIMITS_USER": "1000000/s",
            ]
            return try bench.withProgram(settings, roles: ["border-gateway"]) { gateway in
                try bench.withFolder { folder in
                    let nginx = try Nginx(in: folder, port: ports[1], upstream: ports[0])
                    defer { nginx.stop() }
                    let readers = Array(
                        repeating: Reader("/api/v1/events/\(offer.event)", token: shop.ownerToken), count: bench.clients)
                    var (through, other): ([Double], [Double]) = ([], [])
                    for _ in 0..<bench.rounds {
                        through.append(try bench.measure("gateway", readers, port: gateway.port, on: gateway).perSecond)
                        other.append(try bench.measure("nginx", readers, port: nginx.port, on: program).perSecond)
                    }
                    let direct = try bench.measure(
                        "direct, at half load", Array(readers.prefix(bench.clients / 8)), port: ports[0], on: program)
                    let passed = try bench.measure(
                        "gateway, at half load", Array(readers.prefix(bench.clients / 8)), port: gateway.port, on: gateway)
                    func added(_ percentile: Double) -> Double {
                        passed.operations.percentile(percentile) - direct.operations.percentile(percentile)
                    }
                    return Outcome(
                        through.median, "requests/s", yardstick: other.median, atLeast: 0.9,
                        more: [("added_p50_ms", added(50), true), ("added_p99_ms", added(99), true)])
                }
            }
        }
    }
}

/// The same small GET again and again.
struct Reader: Script {
    private let request: Request

    init(_ path: String, token: String) {
        request = Request("GET", path, token: token)
    }

    mutating func next(after answer: Answer?, _ turn: inout Turn) throws -> Step {
        if let answer {
            try answer.expect(200, "GET")
            turn.complete()
        }
        guard turn.goesOn else { return .stop }
        turn.begin()
        request.write(to: &turn.out)
        return .request
    }
}

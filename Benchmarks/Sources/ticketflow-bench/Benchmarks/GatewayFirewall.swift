extension Benchmark {
    /// A mix of requests through the gateway with its firewall, against the same without.
    static let gatewayFirewall = Benchmark(name: "gateway-waf") { bench in
        try bench.withFirewalls { guarded, bare, _, mix in
            let (on, off) = try bench.turns(mix, guarded, bare)
            return Outcome(on, "requests/s", yardstick: off, atLeast: 0.5)
        }
    }

    /// The same against nginx with libmodsecurity and the same rules.
    static let gatewayFirewallNginx = Benchmark(name: "gateway-waf-nginx") { bench in
        try bench.withFirewalls { guarded, _, nginx, mix in
            let (on, other) = try bench.turns(mix, guarded, nginx)
            return Outcome(on, "requests/s", yardstick: other, atLeast: 2)
        }
    }
}

extension Bench {
    /// A way to the one EventManager.
    fileprivate struct Way {
        let name: String
        let port: Int
        let program: Program
    }

    /// Runs a gateway with its firewall, one without, and an nginx with libmodsecurity before one EventManager.
    fileprivate func withFirewalls<Result>(_ body: (Way, Way, Way, [Mix]) throws -> Result) throws -> Result {
        let ports = try load.freePorts(2)
        return try withShop(["TICKETFLOW_EVENT_MANAGER_LISTEN": "127.0.0.1:\(ports[0])"]) { program, shop in
            let offer = try shop.offer(capacity: 1)
            let mix = (0..<clients).map { Mix(event: offer.event, organizer: shop.organizer, token: shop.ownerToken, from: $0) }
            let settings = [
                "TICKETFLOW_PEERS_EVENT_MANAGER": "127.0.0.1:\(ports[0])",
                "TICKETFLOW_PEERS_AUTHENTICATION": "127.0.0.1:\(program.authenticationPort)",
                "TICKETFLOW_BORDER_GATEWAY_LIMITS_ADDRESS": "1000000/s", "TICKETFLOW_BORDER_GATEWAY_LIMITS_USER": "1000000/s",
            ]
            return try withProgram(settings, roles: ["border-gateway"]) { guarded in
                try withProgram(settings.merging(["TICKETFLOW_BORDER_GATEWAY_FIREWALL_MODE": "off"]) { $1 }, roles: ["border-gateway"]) {
                    bare in
                    try withFolder { folder in
                        let nginx = try Nginx(in: folder, port: ports[1], upstream: ports[0], hasFirewall: true)
                        defer { nginx.stop() }
                        return try body(
                            Way(name: "gateway with its firewall", port: guarded.port, program: guarded),
                            Way(name: "gateway without", port: bare.port, program: bare),
                            Way(name: "nginx with libmodsecurity", port: nginx.port, program: program), mix)
                    }
                }
            }
        }
    }

    /// The medians of requests a second over one way and the other, in turns.
    fileprivate func turns(_ mix: [Mix], _ one: Way, _ other: Way) throws -> (Double, Double) {
        var (ones, others): ([Double], [Double]) = ([], [])
        for _ in 0..<rounds {
            ones.append(try measure(one.name, mix, port: one.port, on: one.program).perSecond)
            others.append(try measure(other.name, mix, port: other.port, on: other.program).perSecond)
        }
        return (ones.median, others.median)
    }
}

/// What a browser asks while somebody looks for an event, and now and then what an organizer sends. Most of it is plain; one in twenty has
/// a mark that the rule set must be asked about.
struct Mix: Script {
    private let requests: [(request: Request, status: Int)]
    private var place: Int

    init(event: String, organizer: String, token: String, from place: Int) {
        let browser = """
            User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r
            Accept: application/json, text/plain, */*\r
            Accept-Language: en-US,en;q=0.9\r
            Accept-Encoding: gzip, deflate\r
            Sec-Fetch-Mode: cors\r
            Sec-Fetch-Site: same-origin\r
            Referer: https://tickets.example.org/events/\(event)\r

            """
        func get(_ path: String) -> (Request, Int) { (Request("GET", path, token: token, fields: browser), 200) }
        // Of a state that was long ago: read and compared, and nothing written.
        func change(_ name: String) -> (Request, Int) {
            (
                Request(
                    "PATCH", "/api/v1/events/\(event)", token: token, fields: browser + "If-Match: \"9999\"\r\n",
                    body: #"{"name": "\#(name)", "summary": "Two sets of songs, the show starts at 8", "ageRestriction": 16}"#), 412
            )
        }
        let event = get("/api/v1/events/\(event)")
        let list = get("/api/v1/events?limit=5&country=AT&sort=startsAt")
        let organizer = get("/api/v1/organizers/\(organizer)")
        let plain = [
            event, list, event, organizer, get("/api/v1/events?query=Nuit%20Blanche%20%C3%A0%20Paris&limit=5"), event,
            change("Owls at Midnight"), list, event,
        ]
        let odd = get("/api/v1/events?query=L%27Imp%C3%A9ratrice%20%C3%A0%20Paris&limit=5")
        requests = (plain + plain + [event, odd]).map { (request: $0.0, status: $0.1) }
        self.place = place % requests.count
    }

    mutating func next(after answer: Answer?, _ turn: inout Turn) throws -> Step {
        if let answer {
            try answer.expect(requests[place].status, "a request of the mix")
            turn.complete()
            place = (place + 1) % requests.count
        }
        guard turn.goesOn else { return .stop }
        turn.begin()
        requests[place].request.write(to: &turn.out)
        return .request
    }
}

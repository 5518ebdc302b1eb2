import NIOCore

/// Renews the lease of one instance: without a pause, or as often as instances do.
struct Heartbeats: Script {
    private let request: Request
    private let interval: TimeAmount?
    /// How long the first waits, so that not all come at once.
    private var wait: TimeAmount?
    private(set) var count = 0

    init(_ instance: RegisteredInstance, every interval: TimeAmount? = nil, after wait: TimeAmount? = nil) {
        request = instance.heartbeat
        self.interval = interval
        self.wait = wait
    }

    mutating func next(after answer: Answer?, _ turn: inout Turn) throws -> Step {
        if let answer {
            try answer.expect(200, "PUT /eureka/apps/{APP}/{ID}")
            turn.complete()
            count += 1
            if let interval { return turn.goesOn ? .pause(interval) : .stop }
        }
        guard turn.goesOn else { return .stop }
        if let wait {
            self.wait = nil
            return .pause(wait)
        }
        turn.begin()
        request.write(to: &turn.out)
        return .request
    }
}

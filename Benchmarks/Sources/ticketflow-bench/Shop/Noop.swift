/// The yardstick: the smallest request that reads and writes JSON.
struct Noop: Script {
    private let request = Request("POST", "/noop", body: #"{"id":"a","quantity":1}"#)

    mutating func next(after answer: Answer?, _ turn: inout Turn) throws -> Step {
        if let answer {
            try answer.expect(200, "POST /noop")
            turn.complete()
        }
        guard turn.goesOn else { return .stop }
        turn.begin()
        request.write(to: &turn.out)
        return .request
    }
}

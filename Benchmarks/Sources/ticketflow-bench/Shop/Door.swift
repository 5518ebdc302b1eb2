/// Scans its tickets one after the other, all in, then all out, and again. What comes back from a load goes on where that ended.
struct Door: Script {
    private let path: String
    private let codes: [String]
    private let token: String
    private let name: String
    private var count = 0

    /// - Parameters:
    ///   - codes: of tickets that are outside.
    ///   - name: unique within the program's life; the nonces begin with it.
    init(_ offer: Offer, codes: [String], token: String, name: String) {
        path = "/api/v1/events/\(offer.event)/check-ins"
        self.codes = codes
        self.token = token
        self.name = name
    }

    mutating func next(after answer: Answer?, _ turn: inout Turn) throws -> Step {
        if let answer {
            try answer.expect(200, "POST /events/{id}/check-ins")
            guard answer.json["result"]?.string == "admitted" else {
                throw Unexpected(request: "POST /events/{id}/check-ins", answer: answer)
            }
            turn.complete()
        }
        guard turn.goesOn else { return .stop }
        let (round, index) = count.quotientAndRemainder(dividingBy: codes.count)
        let direction = round.isMultiple(of: 2) ? "in" : "out"
        count += 1
        turn.begin()
        Request(
            "POST", path, token: token,
            body: #"{"code":"\#(codes[index])","direction":"\#(direction)","nonce":"\#(name)-\#(count)","gate":"North"}"#
        ).write(to: &turn.out)
        return .request
    }
}

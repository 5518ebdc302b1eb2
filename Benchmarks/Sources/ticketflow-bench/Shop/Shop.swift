import Foundation

/// An organizer of the running program, made through the API as people would make one, and what is needed to act for it.
struct Shop {
    let program: Program
    let load: Load
    let organizer: String
    /// The owner's access token.
    let ownerToken: String
    /// SalesManager's own, for holds.
    let serviceToken: String

    init(_ program: Program, load: Load) throws {
        self.program = program
        self.load = load
        let (email, password) = ("owner-\(UUID().uuidString)@bench.example", "correct horse battery staple")
        _ = try load.post(
            "/api/v1/auth/register", port: program.port, status: 201,
            body: #"{"email":"\#(email)","password":"\#(password)","name":"Bench Owner"}"#)
        let session = try load.post(
            "/api/v1/auth/login", port: program.port, status: 200, body: #"{"email":"\#(email)","password":"\#(password)"}"#)
        ownerToken = try session.text("accessToken")
        organizer = try load.post(
            "/api/v1/organizers", port: program.port, status: 201, token: ownerToken, key: "organizer", body: #"{"name":"Bench"}"#
        ).text("id")
        let secret = (readText("\(program.folder)/secrets/service-sales-manager") ?? "").filter { !$0.isWhitespace }
        serviceToken = try load.post(
            "/internal/v1/auth/service-token", port: program.authenticationPort, status: 200,
            body: #"{"service":"sales-manager","secret":"\#(secret)"}"#
        ).text("accessToken")
    }

    /// A published event with one pool and one ticket type at 45 euros, at most ten an order.
    func offer(capacity: Int) throws -> Offer {
        let startsAt = Date(timeIntervalSinceNow: 60 * 86_400).formatted(.iso8601)
        let event = try post(
            "/api/v1/events", status: 201,
            body: """
                {"organizerId":"\(organizer)","name":"Bench Night","startsAt":"\(startsAt)","timeZone":"Europe/Berlin","currency":"EUR"}
                """
        ).text("id")
        let pool = try post(
            "/api/v1/events/\(event)/pools", status: 201, body: #"{"name":"Floor","capacity":\#(capacity)}"#
        ).text("id")
        let ticketType = try post(
            "/api/v1/events/\(event)/ticket-types", status: 201,
            body: """
                {"name":"Standing","price":{"amount":4500,"currency":"EUR"},"poolIds":["\(pool)"],"minPerOrder":1,"maxPerOrder":10,\
                "taxRate":1900}
                """
        ).text("id")
        _ = try post("/api/v1/events/\(event)/publish", status: 200)
        return Offer(event: event, ticketType: ticketType)
    }

    /// What the only pool of an event counts.
    func stock(of offer: Offer) throws -> (held: Int, sold: Int) {
        let answer = try load.call("GET", "/api/v1/events/\(offer.event)/pools", port: program.port, token: ownerToken)
        try answer.expect(200, "GET pools")
        guard let pool = answer.json["items"]?.elements.first, let held = pool["held"]?.integer, let sold = pool["sold"]?.integer else {
            throw Unexpected(request: "GET pools", answer: answer)
        }
        return (held, sold)
    }

    private func post(_ path: String, status: Int, body: String = "") throws -> Answer {
        try load.post(path, port: program.port, status: status, token: ownerToken, key: UUID().uuidString, body: body)
    }
}

/// What is bought.
struct Offer: Sendable {
    let event: String
    let ticketType: String
}

extension Load {
    fileprivate func post(
        _ path: String, port: Int, status: Int, token: String? = nil, key: String? = nil, body: String
    ) throws -> Answer {
        let answer = try call("POST", path, port: port, token: token, key: key, body: body)
        guard answer.status == status else { throw Unexpected(request: "POST \(path)", answer: answer) }
        return answer
    }
}

extension Answer {
    /// A text at the top of a JSON answer.
    func text(_ key: String) throws -> String {
        guard let text = json[key]?.string else { throw Unexpected(request: "a request for \(key)", answer: self) }
        return text
    }
}

package import Discovery
package import HTTPTypes

/// Why a request goes no further, and what its sender is told.
package struct Refusal: Error, Sendable {
    package let problem: Problem
    /// Whether what follows on the connection could be misread, or is not wanted.
    package let closes: Bool
    package var headers: HTTPFields = [:]

    package init(_ problem: Problem, closes: Bool, headers: HTTPFields = [:]) {
        self.problem = problem
        self.closes = closes
        self.headers = headers
    }

    /// Of what is no proper HTTP: nobody may guess what was meant.
    package static func malformed(_ detail: String) -> Refusal {
        Refusal(Problem(400, "malformed-request", "The request is malformed", detail: detail), closes: true)
    }

    package static let headTooLarge = Refusal(
        Problem(
            431, "head-too-large", "The head of the request is too large",
            detail: "It may have \(RequestDecoder.largestHead) bytes and \(RequestDecoder.mostFields) fields."), closes: true)

    package static let targetTooLong = Refusal(
        Problem(
            414, "target-too-long", "The address is too long", detail: "It may have \(RequestDecoder.longestTarget) bytes."), closes: true)

    package static func bodyTooLarge(_ most: Int) -> Refusal {
        Refusal(
            Problem(413, "body-too-large", "The body is too large", detail: "It may have at most \(most) bytes."), closes: true)
    }

    package static let noJSON = Refusal(
        Problem(415, "unsupported-media-type", "The body must be JSON", detail: "Send it with Content-Type: application/json."),
        closes: true)

    package static let tooSlow = Refusal(
        Problem(408, "request-timeout", "The request took too long to arrive", detail: "Send it again."), closes: true)
}

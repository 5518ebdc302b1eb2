/// What went wrong, for whoever asked (RFC 9457, `application/problem+json`). Thrown by handlers, sent as it is, and
/// thrown again by the typed clients of peers.
package struct Problem: Error, Sendable {
    package struct Field: Codable, Hashable, Sendable {
        /// A path into the body (`lines[0].quantity`), or the name of a parameter.
        package let field: String
        package let message: String

        package init(_ field: String, _ message: String) {
            self.field = field
            self.message = message
        }
    }

    package var status: Int
    /// The stable last part of `type`: `sold-out`.
    package var code: String
    package var title: String
    /// What was wrong and what to do about it, for a person.
    package var detail: String?
    /// For bad input, one entry per field.
    package var errors: [Field]
    /// Further members that a program may use, such as the line that is sold out.
    package var members: [String: String]
    /// Seconds after which to try again.
    package var retryAfter: Int?

    package init(
        _ status: Int, _ code: String, _ title: String, detail: String? = nil, errors: [Field] = [],
        members: [String: String] = [:], retryAfter: Int? = nil
    ) {
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.errors = errors
        self.members = members
        self.retryAfter = retryAfter
    }

    package static let typePrefix = "urn:ticketflow:problem:"
}

extension Problem {
    package static func badRequest(_ detail: String) -> Problem {
        Problem(400, "bad-request", "The request cannot be understood", detail: detail)
    }

    /// The fields are well formed, but not what is asked for.
    package static func invalid(_ errors: [Field]) -> Problem {
        Problem(
            422, "invalid", "Some fields are not valid",
            detail: errors.map { "\($0.field): \($0.message)" }.joined(separator: "; "), errors: errors)
    }

    package static func invalid(_ field: String, _ message: String) -> Problem {
        invalid([Field(field, message)])
    }

    package static let unauthenticated = Problem(
        401, "unauthenticated", "Sign in first", detail: "Send an access token in the Authorization field: Bearer TOKEN.")

    package static func forbidden(_ detail: String) -> Problem {
        Problem(403, "forbidden", "Not allowed", detail: detail)
    }

    /// Also for what exists but is none of the caller's business.
    package static func notFound(_ what: String) -> Problem {
        Problem(404, "not-found", "Not found", detail: "There is no such \(what), or it is not yours.")
    }

    package static func conflict(_ code: String, _ title: String, _ detail: String) -> Problem {
        Problem(409, code, title, detail: detail)
    }

    package static func unavailable(_ detail: String, retryAfter: Int = 1) -> Problem {
        Problem(503, "unavailable", "Not available at the moment", detail: detail, retryAfter: retryAfter)
    }
}

extension Problem: Codable {
    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(_ name: String) { stringValue = name }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    private static let standardMembers: Set = ["type", "title", "status", "detail", "errors", "requestId"]

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        let type = try container.decodeIfPresent(String.self, forKey: Key("type")) ?? ""
        self.init(
            try container.decode(Int.self, forKey: Key("status")),
            type.hasPrefix(Problem.typePrefix) ? String(type.dropFirst(Problem.typePrefix.count)) : type,
            try container.decodeIfPresent(String.self, forKey: Key("title")) ?? "",
            detail: try container.decodeIfPresent(String.self, forKey: Key("detail")),
            errors: try container.decodeIfPresent([Field].self, forKey: Key("errors")) ?? [])
        for key in container.allKeys where !Problem.standardMembers.contains(key.stringValue) {
            members[key.stringValue] = try? container.decode(String.self, forKey: key)
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(Problem.typePrefix + code, forKey: Key("type"))
        try container.encode(title, forKey: Key("title"))
        try container.encode(status, forKey: Key("status"))
        try container.encodeIfPresent(detail, forKey: Key("detail"))
        if !errors.isEmpty { try container.encode(errors, forKey: Key("errors")) }
        for (name, value) in members { try container.encode(value, forKey: Key(name)) }
    }
}

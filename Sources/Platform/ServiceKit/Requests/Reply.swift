package import Discovery
package import HTTPTypes
import Values

/// An answer: a status, fields, and a body, which is whole but for streams.
package struct Reply: Sendable {
    package var status: HTTPResponse.Status
    package var headers: HTTPFields
    package var body: [UInt8]
    /// Stands for the body where a peer in the same process takes it so; see `Call.ok`.
    let value: (any Encodable & Sendable)?
    /// What follows, piece by piece as it comes: for streams of changes. Ends when the stream does, or with the connection.
    package var rest: AsyncStream<[UInt8]>?

    package init(status: HTTPResponse.Status, headers: HTTPFields = [:], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
        value = nil
    }

    init(status: HTTPResponse.Status, headers: HTTPFields = [:], value: any Encodable & Sendable) {
        self.status = status
        self.headers = headers
        self.value = value
        body = []
    }

    package static func ok(_ value: some Encodable, etag: String? = nil) throws -> Reply {
        var reply = Reply(status: .ok, headers: [.contentType: "application/json"], body: try JSON.bytes(of: value))
        if let etag { reply.headers[.eTag] = etag }
        return reply
    }

    package static func created(_ value: some Encodable, at location: String) throws -> Reply {
        Reply(
            status: .created, headers: [.contentType: "application/json", .location: location],
            body: try JSON.bytes(of: value))
    }

    package static let noContent = Reply(status: .noContent)

    package static func bytes(_ body: [UInt8], type: String) -> Reply {
        Reply(status: .ok, headers: [.contentType: type], body: body)
    }

    /// The same, to be kept by no cache: it is a secret, or soon not true any more.
    package var uncached: Reply {
        var reply = self
        reply.headers[.cacheControl] = "no-store"
        return reply
    }

    package static func problem(_ problem: Problem, requestID: String) -> Reply {
        struct Document: Encodable {
            let problem: Problem
            let requestID: String

            enum Key: String, CodingKey { case requestId }

            func encode(to encoder: any Encoder) throws {
                try problem.encode(to: encoder)
                var container = encoder.container(keyedBy: Key.self)
                try container.encode(requestID, forKey: .requestId)
            }
        }
        let body = (try? JSON.bytes(of: Document(problem: problem, requestID: requestID))) ?? []
        var headers: HTTPFields = [.contentType: "application/problem+json"]
        if let seconds = problem.retryAfter { headers[.retryAfter] = "\(seconds)" }
        if problem.status == 401 { headers[.wwwAuthenticate] = "Bearer" }
        return Reply(status: .init(code: problem.status), headers: headers, body: body)
    }
}

/// A page of a collection, and where the next one begins.
package struct Page<Item: Codable & Sendable>: Codable, Sendable {
    package var items: [Item]
    package var next: String?

    package init(items: [Item], next: String?) {
        self.items = items
        self.next = next
    }

    /// The first `limit` of rows that were asked for one beyond it.
    package init(_ rows: [Item], limit: Int, cursor: (Item) -> String) {
        let items = Array(rows.prefix(limit))
        self.init(items: items, next: rows.count > limit ? items.last.map(cursor) : nil)
    }

    private enum CodingKeys: String, CodingKey { case items, next }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(items, forKey: .items)
        try container.encode(next, forKey: .next)
    }
}

extension Call {
    /// `?limit=`, 1 to 200, 50 if it is not said.
    package var limit: Int {
        get throws {
            let limit = try query("limit", as: Int.self, "a whole number from 1 to 200") ?? 50
            guard (1...200).contains(limit) else { throw Problem.invalid("limit", "must be a whole number from 1 to 200") }
            return limit
        }
    }
}

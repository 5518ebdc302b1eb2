package import Discovery
import FoundationEssentials
package import HTTPTypes
package import Values

/// A request that found its handler: who asks, for what, with what.
package struct Call: Sendable {
    package let route: Route
    package let headers: HTTPFields
    package let identity: Identity
    package let requestID: String
    let path: String
    let bytes: [UInt8]
    let parameters: [String: String]
    package let query: Query
    private let takesValue: Bool

    init(
        route: Route, path: String, parameters: [String: String], query: Query, headers: HTTPFields, bytes: [UInt8],
        identity: Identity, requestID: String, takesValue: Bool
    ) {
        self.route = route
        self.path = path
        self.parameters = parameters
        self.query = query
        self.headers = headers
        self.bytes = bytes
        self.identity = identity
        self.requestID = requestID
        self.takesValue = takesValue
    }

    /// A parameter of the path as it is.
    package func text(_ name: String) -> String {
        guard let value = parameters[name] else { preconditionFailure("\(route.path) has no parameter \(name)") }
        return value
    }

    /// A parameter of the path that is an id. One of another form cannot exist, hence 404.
    package func id<Kind: IdentifierKind>(_ name: String, _ kind: Kind.Type = Kind.self) throws -> TypeID<Kind> {
        guard let id = TypeID<Kind>(text(name)) else { throw Problem.notFound(Kind.prefix) }
        return id
    }

    /// The one user who asks; 401 for anybody else.
    package var user: Identity.User {
        get throws {
            guard let user = identity.user else { throw Problem.unauthenticated }
            return user
        }
    }

    /// The body as JSON, within the route's bounds.
    package func body<Body: Decodable>(_ type: Body.Type = Body.self) throws -> Body {
        try JSONBody.decode(type, from: bytes)
    }

    /// As `Reply.ok`. A peer in the same process gets the value as it is: nobody writes its JSON, and nobody reads it.
    package func ok(_ value: some Encodable & Sendable) throws -> Reply {
        takesValue ? Reply(status: .ok, value: value) : try .ok(value)
    }

    /// As `Reply.created`, and as `ok`.
    package func created(_ value: some Encodable & Sendable, at location: String) throws -> Reply {
        takesValue ? Reply(status: .created, headers: [.location: location], value: value) : try .created(value, at: location)
    }

    /// The unread body, for what is signed as bytes.
    package var rawBody: [UInt8] { bytes }

    package func query(_ name: String) -> String? {
        query[name]
    }

    package func query<Value: LosslessStringConvertible>(_ name: String, as type: Value.Type, _ form: String) throws -> Value? {
        guard let text = query[name] else { return nil }
        guard let value = Value(text) else { throw Problem.invalid(name, "must be \(form)") }
        return value
    }
}

extension Call {
    /// Holds `If-Match`, where it is sent, against the version of what is about to change.
    package func mustMatch(version: Int64) throws {
        guard let expected = headers[.ifMatch], expected != "*" else { return }
        guard expected.split(separator: ",").contains(where: { $0.trimmed == "\"\(version)\"" }) else {
            throw Problem(
                412, "precondition-failed", "It was changed meanwhile",
                detail: "Read it again, and send the change with its new ETag.")
        }
    }
}

extension Substring {
    fileprivate var trimmed: Substring {
        drop { $0 == " " }.prefix { $0 != " " }
    }
}

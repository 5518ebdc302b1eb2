import Discovery
import HTTPTypes
import NIOCore
import NIOHTTP1
import ServiceKit
import Values

/// A request that may be served, and what was found out about it.
final class Admission: Sendable {
    let head: HTTPRequestHead
    /// In its one form.
    let target: RequestTarget
    let plan: Plan
    let client: IPAddress
    let requestID: String
    let scheme: String
    /// Fields of the answer that tell how much more may be asked for.
    let told: [(String, String)]
    /// What goes on in place of an API key.
    private let token: String?

    init(
        head: HTTPRequestHead, target: RequestTarget, plan: Plan, client: IPAddress, requestID: String, scheme: String,
        told: [(String, String)], token: String? = nil
    ) {
        self.head = head
        self.target = target
        self.plan = plan
        self.client = client
        self.requestID = requestID
        self.scheme = scheme
        self.told = told
        self.token = token
    }

    /// With the token of the user in place of an API key, which no service needs to know.
    func handedOn(as identity: Identity) -> Admission {
        guard let user = identity.user, user.key != nil else { return self }
        return Admission(
            head: head, target: target, plan: plan, client: client, requestID: requestID, scheme: scheme, told: told, token: user.token)
    }

    /// To WebSocket, where the route lets it through.
    var wantsUpgrade: Bool {
        plan.isStream && head.version == .http1_1 && head.headers.contains(name: "upgrade")
            && head.headers[canonicalForm: "connection"].contains { $0.lowercased() == "upgrade" }
    }

    /// The target that goes on.
    var forwardedTarget: String { plan.rule?.rewritten(target) ?? target.text }

    /// What a service in this process is given.
    func incoming(_ body: ByteBuffer) -> IncomingRequest {
        IncomingRequest(
            method: .init(rawValue: head.method.rawValue) ?? .get, target: forwardedTarget, headers: .init(fields()),
            body: Array(body.readableBytesView))
    }

    /// The fields that go to a service, wherever it runs.
    func fields() -> HTTPHeaders {
        var fields = HeadPolicy.forwarded(head.headers)
        fields.add(name: "x-request-id", value: requestID)
        if let token { fields.replaceOrAdd(name: "authorization", value: "Bearer \(token)") }
        fields.add(name: "x-forwarded-for", value: client.description)
        // A trace begins here where none has begun before.
        if !(fields.first(name: "traceparent").map(Correlation.isTrace) ?? false) {
            fields.replaceOrAdd(name: "traceparent", value: Trace.begin())
            fields.remove(name: "tracestate")
        }
        guard let rule = plan.rule else { return fields }
        // The services of this house make no addresses from what somebody has called them; others do.
        fields.add(name: "x-forwarded-proto", value: scheme)
        if let host = head.headers.first(name: "host") { fields.add(name: "x-forwarded-host", value: host) }
        return rule.rewritten(fields)
    }
}

extension HTTPFields {
    /// Names that cannot be are left out.
    init(_ headers: HTTPHeaders) {
        self.init()
        reserveCapacity(headers.count)
        for (name, value) in headers {
            guard let name = HTTPField.Name(name) else { continue }
            append(HTTPField(name: name, value: value))
        }
    }
}

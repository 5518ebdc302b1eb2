import Discovery
import HTTPTypes
package import ServiceKit

/// What an operator asks of the gateway, on a listener that the world does not reach.
package struct AdminDesk: Sendable {
    private enum Resource: Sendable {
        case page
        case script
        case routes
        case upstreams
        case operations(Route)
    }

    private static let resources: [String: Resource] = Operations.routes.reduce(
        into: ["/": .page, "/\(AdminPage.script)": .script, "/routes": .routes, "/upstreams": .upstreams]
    ) { $0[$1.path] = .operations($1) }

    private let gateway: Gateway

    package init(_ gateway: Gateway) {
        self.gateway = gateway
    }

    package func respond(to request: IncomingRequest) async -> Reply {
        guard let resource = AdminDesk.resources[String(request.target.prefix { $0 != "?" })] else {
            let there = AdminDesk.resources.keys.sorted().joined(separator: ", ")
            return .problem(
                Problem(404, "no-such-route", "There is nothing at this address", detail: "There are \(there)."),
                requestID: RequestID.of(request))
        }
        guard [.get, .head].contains(request.method) else {
            var reply = Reply.problem(
                Problem(
                    405, "method-not-allowed", "This address does not know the method \(request.method)", detail: "It can only be read."),
                requestID: RequestID.of(request))
            reply.headers[.allow] = "GET, HEAD"
            return reply
        }
        return await Gateway.own(request) { try await answer(resource) }
    }

    private func answer(_ resource: Resource) async throws -> Reply {
        switch resource {
        case .page: return AdminPage.page(of: RouteReport(gateway), try await UpstreamReport(gateway))
        case .script: return .bytes(Array(AdminPage.refreshing.utf8), type: "text/javascript; charset=utf-8")
        case .routes: return try .ok(RouteReport(gateway)).uncached
        case .upstreams: return try .ok(await UpstreamReport(gateway)).uncached
        case .operations(let route): return try await gateway.operations.answer(route) ?? .problem(.noSuchRoute, requestID: "")
        }
    }
}

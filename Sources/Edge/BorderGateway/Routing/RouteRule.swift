import Contracts
import Discovery
import NIOHTTP1
package import Values

/// A route of an operator's own, before those of the API: what it takes, where it sends it, and what it changes on the way.
///
/// The setting `borderGateway.routes` is a JSON list of them. The first that takes a request has it.
package struct RouteRule: Codable, Hashable, Sendable {
    /// What it is called in metrics.
    package var name: String
    /// `/shop/**` for everything below, `/shop` for that alone; of the path in its one form.
    package var path: String
    /// Without port; all where there are none.
    package var hosts: [String]?
    package var methods: [String]?
    /// Fields that must be there with these values.
    package var headers: [String: String]?
    /// Parameters that must be there with these values.
    package var query: [String: String]?
    package var from: Instant?
    package var until: Instant?
    /// Of a hundred requests, how many it takes; the others go on to the next rule.
    package var percent: Int?
    /// A service by its name, or addresses such as `http://10.0.0.7:9000`.
    package var to: [String]
    package var rewrite: Rewrite?
    /// In bytes.
    package var bodyLimit: Int?
    package var seconds: Int?
    /// Whether bodies go through as they come, both ways, and connections may be upgraded to WebSocket.
    package var streams: Bool?
    /// For each address, such as `20/s burst 100`.
    package var limit: String?

    package struct Rewrite: Codable, Hashable, Sendable {
        /// What stands in the place of the rule's path.
        package var path: String?
        package var set: [String: String]?
        package var remove: [String]?
    }

    /// A rule that cannot be used, and why.
    package struct Invalid: Error, CustomStringConvertible {
        package let description: String
    }

    package static func list(_ json: String) throws -> [RouteRule] {
        let rules: [RouteRule]
        do {
            rules = try JSON.value([RouteRule].self, from: json)
        } catch {
            throw Invalid(description: "borderGateway.routes is no list of routes in JSON: \(error)")
        }
        for rule in rules { try rule.check() }
        guard Set(rules.map(\.name)).count == rules.count else {
            throw Invalid(description: "borderGateway.routes has two routes of one name.")
        }
        return rules
    }

    private func check() throws {
        func demand(_ isRight: Bool, _ what: String) throws {
            guard isRight else { throw Invalid(description: "borderGateway.routes: the route \(name) \(what)") }
        }
        try demand(!name.isEmpty, "needs a name.")
        let plain = isPrefix ? String(path.dropLast(2)) : path
        try demand((try? RequestTarget(plain))?.text == plain, "has a path that is not in its one form.")
        try demand(percent.map { (0...100).contains($0) } ?? true, "takes from 0 to 100 percent.")
        try demand(!to.isEmpty, "leads nowhere.")
        let isService = to.count == 1 && Contracts.routes.contains { $0.service.description == to[0] }
        try demand(
            isService || to.allSatisfy { Instance($0) != nil }, "leads to addresses such as http://10.0.0.7:9000, or to one service.")
        try demand(bodyLimit.map { $0 >= 0 } ?? true, "cannot limit bodies to less than nothing.")
        try demand(seconds.map { (1...86_400).contains($0) } ?? true, "takes from 1 to 86400 seconds.")
        try demand(limit.map { RateLimit($0) != nil } ?? true, "has a limit that is none; say such as 20/s.")
        let names = Array((rewrite?.set ?? [:]).keys) + (rewrite?.remove ?? [])
        try demand(
            names.allSatisfy { !HeadPolicy.ofOneConnection.contains($0.lowercased()) && $0.lowercased() != "content-length" },
            "changes fields that belong to a connection.")
        try demand(
            (rewrite?.set ?? [:]).allSatisfy { name, value in
                name.utf8.allSatisfy(\.isTokenByte) && !name.isEmpty && value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f }
            }, "sets a field that cannot be.")
        if let path = rewrite?.path { try demand(path.hasPrefix("/"), "rewrites to a path that does not begin with a slash.") }
    }

    var isPrefix: Bool { path.hasSuffix("/**") }

    /// - Parameter chance: from 0 to 99.
    func takes(_ head: HTTPRequestHead, _ target: RequestTarget, now: Instant, chance: Int) -> Bool {
        guard isPrefix ? isBelow(target.path) : target.path == path else { return false }
        if let methods, !methods.contains(head.method.rawValue) { return false }
        if let hosts {
            let host = head.headers.first(name: "host") ?? ""
            let name = host.hasPrefix("[") ? host[...] : host.prefix { $0 != ":" }
            guard hosts.contains(name.lowercased()) else { return false }
        }
        if let from, now < from { return false }
        if let until, now >= until { return false }
        for (name, value) in headers ?? [:] where !head.headers[name.lowercased()].contains(value) { return false }
        for (name, value) in query ?? [:] {
            let pairs = (target.query ?? "").split(separator: "&")
            guard pairs.contains(where: { $0 == "\(name)=\(value)" }) else { return false }
        }
        return percent.map { chance < $0 } ?? true
    }

    private func isBelow(_ text: String) -> Bool {
        let folder = path.dropLast(2)
        return text.hasPrefix(folder) || text == folder.dropLast()
    }

    /// The target that goes on.
    func rewritten(_ target: RequestTarget) -> String {
        guard let new = rewrite?.path else { return target.text }
        guard isPrefix else { return target.query.map { "\(new)?\($0)" } ?? new }
        let rest = target.path.dropFirst(path.utf8.count - 2)
        let folder = new.hasSuffix("/") ? new : "\(new)/"
        return target.query.map { "\(folder)\(rest)?\($0)" } ?? "\(folder)\(rest)"
    }

    func rewritten(_ fields: HTTPHeaders) -> HTTPHeaders {
        var fields = fields
        for name in rewrite?.remove ?? [] { fields.remove(name: name) }
        for (name, value) in rewrite?.set ?? [:] { fields.replaceOrAdd(name: name.lowercased(), value: value) }
        return fields
    }

    /// - Parameter peer: of its addresses.
    func plan(_ destination: Plan.Destination) -> Plan {
        let limit = limit.flatMap { RateLimit($0) }
        return Plan(
            name: name, destination: destination, isRepeatable: false, bodyLimit: bodyLimit ?? Plan.usualBodyLimit,
            time: seconds.map { .seconds(Int64($0)) } ?? Plan.usualTime, isStream: streams ?? false,
            limits: limit.map { [RateRule(name, $0, isPerRoute: true)] } ?? [], rule: self)
    }
}

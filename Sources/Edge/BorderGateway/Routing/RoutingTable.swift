import Contracts
import Discovery
import HTTPTypes
import NIOHTTP1
import ServiceKit
import Values

/// What the gateway knows the way to: the public routes of all services, what a load balancer asks, and the merged document.
struct RoutingTable: Sendable {
    /// The merged OpenAPI document.
    static let document = Route(.get, "/api/openapi.json", .anyone)

    private let plans: RouteTable<Plan>
    /// An operator's, the first before the others.
    let own: [(rule: RouteRule, plan: Plan)]
    let all: [(route: Route, plan: Plan)]

    init(_ configuration: BorderGatewayConfiguration) {
        own = configuration.routes.map { rule in
            let instances = rule.to.compactMap { Instance($0) }
            let name = ServiceName(rule.to[0])
            return (rule, rule.plan(instances.isEmpty ? .service(name) : .addresses(.init(instances, of: name))))
        }
        let signIn = configuration.signIn.map { RateRule("signIn", $0, isPerRoute: true) }
        let coupons = configuration.coupons.map { RateRule("coupons", $0, isPerRoute: true) }
        var all: [(Route, Plan)] = Contracts.publicRoutes.flatMap { service, routes in
            routes.map { route in
                var limits: [RateRule] = []
                if RoutingTable.isSignIn(route), let signIn { limits.append(signIn) }
                if route.path == CouponManagerRoutes.validateCoupon.path, let coupons { limits.append(coupons) }
                let plan = Plan(
                    name: "\(route.method) \(route.path)", destination: .service(service),
                    isRepeatable: RoutingTable.isRepeatable(route), limits: limits)
                return (route, plan)
            }
        }
        all += Operations.healthRoutes.map { ($0, Plan(name: "GET \($0.path)", destination: .operations($0), isRepeatable: true)) }
        all.append((RoutingTable.document, Plan(name: "GET \(RoutingTable.document.path)", destination: .document, isRepeatable: true)))
        self.all = all
        plans = RouteTable(all)
    }

    /// What serves a request: an operator's own routes first.
    func find(_ head: HTTPRequestHead, _ target: RequestTarget) -> RouteTable<Plan>.Match {
        if !own.isEmpty {
            let now = Instant.now
            let chance = Int.random(in: 0..<100)
            if let found = own.first(where: { $0.rule.takes(head, target, now: now, chance: chance) }) {
                return .found(found.plan, parameters: [:])
            }
        }
        return find(.init(rawValue: head.method.rawValue) ?? .get, target.path[...])
    }

    /// Among the routes of the API alone.
    func find(_ method: HTTPRequest.Method, _ path: Substring) -> RouteTable<Plan>.Match {
        plans.match(method, path, wantsParameters: false)
    }

    /// A change under a condition is not: the second would find that it no longer holds; who sends one says so by `If-Match`. Nor is a
    /// deletion, whose second finds nothing.
    private static func isRepeatable(_ route: Route) -> Bool {
        switch route.method {
        case .get, .head, .put: true
        default: route.takesKey
        }
    }

    /// What somebody tries who guesses passwords or addresses.
    private static func isSignIn(_ route: Route) -> Bool {
        guard route.method == .post, case .anyone = route.access else { return false }
        return AuthenticationRoutes.all.contains { $0.method == route.method && $0.path == route.path }
    }
}

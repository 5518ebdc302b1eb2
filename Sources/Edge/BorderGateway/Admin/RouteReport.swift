import Discovery
import HTTPTypes
import Values

/// What the gateway lets through, within which bounds, and how much of it there was.
struct RouteReport: Encodable {
    struct Limit: Encodable {
        let name: String
        let requests: Int
        let seconds: Int64
        let burst: Int

        init(_ rule: RateRule) {
            name = rule.name
            requests = rule.limit.requests
            seconds = rule.limit.per.roundedUpToSeconds
            burst = rule.limit.burst
        }
    }

    struct Item: Encodable {
        let name: String
        /// All methods where there are none.
        let methods: [String]
        let path: String
        /// All where there are none.
        let hosts: [String]
        let to: String
        let bodyLimit: Int
        let seconds: Double
        let isStream: Bool
        let limits: [Limit]
        /// Since the process began.
        let requests: Int
        /// Of them answered with 500 and above.
        let failures: Int

        fileprivate init(_ plan: Plan, methods: [String], path: String, hosts: [String] = []) {
            name = plan.name
            self.methods = methods
            self.path = path
            self.hosts = hosts
            to = plan.destination.description
            bodyLimit = plan.bodyLimit
            seconds = plan.time.seconds
            isStream = plan.isStream
            limits = plan.limits.map { Limit($0) }
            requests = plan.meters.requests
            failures = plan.meters.failures
        }
    }

    /// Of all routes together.
    let limits: [Limit]
    /// In the order in which they are tried: an operator's, then those of the API by path.
    let items: [Item]
    /// Requests for which there is no route, and what was no proper request.
    let unrouted: Int

    init(_ gateway: Gateway) {
        let policy = gateway.policy
        limits = [policy.perAddress, policy.perUser, policy.perKey, policy.perUsersKeys].compactMap { $0.map { Limit($0) } }
        let own = policy.routes.own.map { rule, plan in
            Item(plan, methods: rule.methods ?? [], path: rule.path, hosts: rule.hosts ?? [])
        }
        let all = policy.routes.all.map { route, plan in Item(plan, methods: [route.method.rawValue], path: route.path) }
        items = own + all.sorted { ($0.path, $0.methods.first ?? "") < ($1.path, $1.methods.first ?? "") }
        unrouted = RouteMeters.none.requests
    }
}

extension Plan.Destination: CustomStringConvertible {
    package var description: String {
        switch self {
        case .service(let service): service.description
        case .addresses(let peer): peer.balancer.report().instances.map(\.instance.address).joined(separator: ", ")
        case .operations, .document: "the gateway"
        }
    }
}

import Discovery
import Values

/// Where requests go, and how well it is there.
struct UpstreamReport: Encodable {
    /// Where it is known from.
    enum Source: String, Encodable {
        case registry
        case settings
        /// A route of an operator's own.
        case route
        /// It runs here and has no address.
        case thisProcess
    }

    struct Item: Encodable {
        let service: String
        let source: Source
        /// `closed` where requests are sent.
        let circuit: String
        let instances: [Place]
    }

    struct Place: Encodable {
        let address: String
        /// Requests that were sent there and are not answered yet.
        let inHand: Int
        /// Connections that are open and not in use.
        let idle: Int
        let failuresInRow: Int
        let ejectedUntil: String?
        let latencyMilliseconds: Double?
    }

    let items: [Item]

    init(_ gateway: Gateway) async throws {
        let idle = try await gateway.pools.idle()
        var items = gateway.ownServices.map { Item(service: $0.description, source: .thisProcess, circuit: "closed", instances: []) }
        for (service, peer, isFound) in gateway.network?.all ?? [] where !gateway.ownServices.contains(service) {
            items.append(UpstreamReport.item(service.description, peer.balancer, isFound ? .registry : .settings, idle))
        }
        for (_, plan) in gateway.policy.routes.own {
            guard case .addresses(let peer) = plan.destination else { continue }
            items.append(UpstreamReport.item(plan.name, peer.balancer, .route, idle))
        }
        self.items = items
    }

    private static func item(_ name: String, _ balancer: Balancer, _ source: Source, _ idle: [Instance: Int]) -> Item {
        let report = balancer.report()
        let places = report.instances.map { known in
            Place(
                address: known.instance.address, inHand: known.inHand, idle: idle[known.instance] ?? 0,
                failuresInRow: known.failuresInRow, ejectedUntil: known.ejectedUntil?.description,
                latencyMilliseconds: known.latency.map { $0.seconds * 1_000 })
        }
        return Item(service: name, source: source, circuit: report.circuit.rawValue, instances: places)
    }
}

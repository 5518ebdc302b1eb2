import Discovery
import ServiceKit
import Values

/// What a registry says of itself (`/status`), and what was decreed in it (`/serverinfo/statusoverrides`).
struct ServerInformation {
    let registry: Registry
    let peers: Peers

    init(_ registry: Registry, _ peers: Peers) {
        self.registry = registry
        self.peers = peers
    }

    func document(_ format: RegistryWriter.Format) -> Reply {
        let (preservation, count, version) = registry.with { table, now in
            (table.preservationState(at: now), table.count, table.version)
        }
        let bytes = RegistryWriter.document("status", format) { writer in
            writer.object("generalStats") { writer in
                writer.text("server", "TicketFlow")
                writer.text("registry", registry.id)
                writer.text("instances", "\(count)")
                writer.text("version", "\(version)")
                writer.text("renewals-last-minute", "\(preservation.renewals)")
                writer.text("renewals-threshold", "\(preservation.threshold)")
                writer.text("preservation-enabled", "\(preservation.isEnabled)")
                writer.text("preservation-active", "\(preservation.isActive)")
            }
            writer.object("applicationStats") { writer in
                let reached = peers.all.filter { $0.state.isReached }
                let missed = peers.all.filter { !$0.state.isReached && !$0.state.isSelf }
                writer.text("registered-replicas", peers.all.map(\.address.url).joined(separator: ","))
                writer.text("available-replicas", reached.map(\.address.url).joined(separator: ","))
                writer.text("unavailable-replicas", missed.map(\.address.url).joined(separator: ","))
            }
        }
        return .document(bytes, format)
    }

    /// The statuses that operators have decreed, by instance.
    static func overrides(_ registry: Registry, _ format: RegistryWriter.Format) -> Reply {
        let decreed = registry.with { table, _ in
            table.leases.values.flatMap { $0.values.compactMap { lease in lease.override.map { (lease.instance.id, $0.rawValue) } } }
        }
        return .document(
            RegistryWriter.document("statusoverrides", format) { writer in
                for (id, status) in decreed.sorted(by: { $0.0 < $1.0 }) {
                    writer.text(format == .xml ? XMLName.escaped(id) : id, status)
                }
            }, format)
    }
}

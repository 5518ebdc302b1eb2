import Discovery
import Logging
import Messaging
import ServiceLifecycle
import Synchronization
import Values

/// All other registries. A registry asks them first for what they have, and tells them from then on what it hears from clients; what it
/// hears from them it tells nobody.
final class Peers: Service {
    let all: [Peer]
    private let logger: Logger
    private let begun = Atomic<Bool>(false)

    init(_ addresses: [RegistryAddress], registry: Registry, logger: Logger) {
        all = addresses.map { Peer($0, registry: registry, logger: logger) }
        self.logger = logger
        if addresses.isEmpty { begun.store(true, ordering: .releasing) }
    }

    /// Whether the peers were asked for what they have: before that nobody is told what there is.
    var hasBegun: Bool { begun.load(ordering: .acquiring) }

    func tell(_ replication: Replication) {
        for peer in all { peer.tell(replication) }
    }

    func run() async throws {
        let connections = RegistryConnections()
        await withTaskGroup { group in
            for peer in all {
                group.addTask {
                    do {
                        let count = try await peer.fetch(connections.to(peer.address))
                        self.logger.info("took over what a peer has", metadata: ["peer": "\(peer.address)", "instances": "\(count)"])
                    } catch {
                        self.logger.info("a peer has nothing to take over", metadata: ["peer": "\(peer.address)", "error": "\(error)"])
                    }
                }
            }
        }
        begun.store(true, ordering: .releasing)
        await withTaskGroup { group in
            for peer in all { group.addTask { await peer.run(connections.to(peer.address)) } }
        }
        try? await gracefulShutdown()
        try await connections.close()
    }
}

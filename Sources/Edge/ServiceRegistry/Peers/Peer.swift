import Discovery
import Logging
import Messaging
import Metrics
import ServiceLifecycle
import Synchronization
import Values

/// Another registry, which is told what happens here.
final class Peer: Sendable {
    /// What there is to see of it.
    struct State: Sendable {
        var lastHeard: Instant?
        var isReached = false
        var waiting = 0
        /// It is this registry, under one of its own addresses.
        var isSelf = false
    }

    private static let largestBatch = 250
    /// Renewals wait so long for others to go with.
    private static let pause = Duration.milliseconds(500)
    private static let pauseAfterFailure = Duration.seconds(1)
    private static let memory = TimeSpan.seconds(90)

    let address: RegistryAddress
    private let registry: Registry
    private let logger: Logger
    private let signal = Signal()
    private let pending = Mutex(PendingReplications())
    private let known = Mutex(State())
    private let failures: Counter

    init(_ address: RegistryAddress, registry: Registry, logger: Logger) {
        self.address = address
        self.registry = registry
        self.logger = logger
        failures = Counter(label: "registry_replication_failures_total", dimensions: [("peer", address.url)])
    }

    var state: State {
        var state = known.withLock { $0 }
        state.waiting = pending.withLock(\.count)
        return state
    }

    func tell(_ replication: Replication) {
        guard !known.withLock(\.isSelf) else { return }
        pending.withLock { $0.add(replication) }
        if replication.action != .heartbeat { signal.send() }
    }

    /// Sends what there is to tell until the process stops; what is left then is sent once more.
    func run(_ connection: RegistryConnection) async {
        var batch: [Replication] = []
        await withGracefulShutdownHandler {
            while !Task.isCancelled {
                let isLast = Task.isShuttingDownGracefully
                let oldest = registry.now - Peer.memory
                batch.removeAll { $0.at < oldest }
                pending.withLock { $0.forget(before: oldest) }
                if batch.isEmpty { batch = pending.withLock { $0.take(atMost: Peer.largestBatch) } }
                batch = stillSo(batch)
                if batch.isEmpty {
                    if isLast { return }
                    await signal.wait(atMost: Peer.pause)
                    // What came together goes together, but for what cannot wait.
                    continue
                }
                if await send(batch, over: connection) {
                    batch = []
                } else {
                    if isLast { return }
                    await signal.wait(atMost: Peer.pauseAfterFailure)
                }
            }
        } onGracefulShutdown: {
            self.signal.send()
        }
    }

    /// While something waited, the peer itself may have told the opposite: what is not so any more is not told.
    private func stillSo(_ batch: [Replication]) -> [Replication] {
        // The end of what has begun anew here since is still to be told, before its new beginning.
        let registered = Set(batch.lazy.filter { $0.action == .register }.map(\.key))
        return batch.filter { replication in
            let isThere = registry.with { table, _ in table[replication.key] != nil }
            guard replication.action == .cancel else { return isThere }
            return !isThere || registered.contains(replication.key) || pending.withLock { $0.hasRegistration(of: replication.key) }
        }
    }

    private func send(_ batch: [Replication], over connection: RegistryConnection) async -> Bool {
        do {
            let (bytes, name) = try await connection.replicate(Replication.document(batch))
            heard(isSelf: name == registry.id)
            guard name != registry.id else { return true }
            let answer = try JSON.value(ReplicationAnswer.self, from: bytes)
            for (replication, result) in zip(batch, answer.items) { take(result, to: replication) }
            return true
        } catch {
            failures.increment()
            let wasReached = known.withLock { state in
                defer { state.isReached = false }
                return state.isReached
            }
            if wasReached { logger.warning("a peer cannot be told", metadata: ["peer": "\(address)", "error": "\(error)"]) }
            return false
        }
    }

    private func take(_ result: ReplicationAnswer.Item, to replication: Replication) {
        switch result.statusCode {
        case 404 where replication.action != .cancel:
            // It does not know the instance: it gets to know it.
            guard let lease = registry.with({ table, _ in table[replication.key] }) else { return }
            tell(Replication(action: .register, key: replication.key, at: registry.now, instance: lease.instance))
        case 409:
            guard let entity = result.responseEntity else { return }
            registry.with { table, now in
                guard let lease = table[replication.key], lease.instance.lastDirtyAt < entity.lastDirtyAt else { return }
                try? table.register(entity, isReplicated: true, at: now)
            }
        default: break
        }
    }

    private func heard(isSelf: Bool) {
        let wasReached = known.withLock { state in
            defer {
                state.isReached = true
                state.isSelf = isSelf
                state.lastHeard = registry.now
            }
            return state.isReached
        }
        if !wasReached { logger.info(isSelf ? "a peer is this registry itself" : "a peer is told", metadata: ["peer": "\(address)"]) }
    }

    /// Takes over all that it has.
    /// - Returns: how many instances.
    func fetch(_ connection: RegistryConnection) async throws -> Int {
        let listing = try await connection.everything(asPeer: true)
        registry.with { table, now in
            for instance in listing.instances { try? table.register(instance, isReplicated: true, at: now) }
        }
        return listing.instances.count
    }
}

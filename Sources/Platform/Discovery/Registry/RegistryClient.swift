package import Logging
import ServiceLifecycle
import Synchronization
package import Values

/// A process's conversation with registries: it says what runs here, and hears where its peers run.
///
/// Works with any server that speaks Eureka's protocol; with TicketFlow's own, changes come as a stream, with others they are asked for
/// every few seconds. Where no registry answers, what was known last stays known.
package final class RegistryClient: Service {
    package struct Settings: Sendable {
        /// In the order in which they are tried; they are peers of each other.
        package var registries: [RegistryAddress]
        /// As which this machine is registered.
        package var hostName: String
        /// Where what listens on all addresses is reached.
        package var machineAddress: String
        /// Where everything is reached; nil for where it listens.
        package var ipAddress: String?
        /// Of the one service that runs here; by default made of address, name and port.
        package var instanceID: String?
        /// How often an instance says that it is there, and how long it is believed afterwards.
        package var renewal = TimeSpan.seconds(30)
        package var lease = TimeSpan.seconds(90)
        /// How often a registry is asked that has no stream of changes.
        package var poll = TimeSpan.seconds(3)
        /// Where the last known instances are kept; nil for nowhere.
        package var file: String?

        package init(registries: [RegistryAddress], hostName: String, machineAddress: String) {
            self.registries = registries
            self.hostName = hostName
            self.machineAddress = machineAddress
        }
    }

    /// What runs here.
    struct Own {
        var record: RegisteredInstance
        var isRegistered = false
    }

    struct State {
        var own: [Own] = []
        /// Why a registry did not take what runs here, as it was said last.
        var refusal: String?
        var connections: [RegistryConnection] = []
        /// Which of them is spoken to first.
        var current = 0
        var hasAnswer = false
        /// Whether all that runs here was told to a registry, or none answered.
        var hasTriedToRegister = false
        var known = KnownInstances()
        /// What was handed out last.
        var addresses: [String: [Instance]] = [:]
    }

    private static let pauseAfterFailure = TimeSpan.seconds(1)

    let settings: Settings
    let logger: Logger
    let state = Mutex(State())
    private let file: InstanceFile?
    private let isReady: @Sendable () async -> Bool
    private let onChange: @Sendable ([String: [Instance]]) -> Void
    private let entered: AsyncStream<Void>
    private let allEntered: AsyncStream<Void>.Continuation
    private let changed: AsyncStream<Void>
    private let hasChanged: AsyncStream<Void>.Continuation

    /// - Parameters:
    ///   - isReady: whether what runs here can answer; nothing is registered before.
    ///   - onChange: is told of all instances that want requests, by application, whenever that changes.
    package init(
        _ settings: Settings, logger: Logger, isReady: @escaping @Sendable () async -> Bool,
        onChange: @escaping @Sendable ([String: [Instance]]) -> Void
    ) {
        self.settings = settings
        self.logger = logger
        self.isReady = isReady
        self.onChange = onChange
        file = settings.file.map { InstanceFile(path: $0) }
        (entered, allEntered) = AsyncStream.makeStream()
        (changed, hasChanged) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Whether a registry answered when it was asked last.
    package var isConnected: Bool { state.withLock(\.hasAnswer) }

    /// Whether the others can know what runs here: it is registered, or no registry has answered.
    package var hasIntroducedItself: Bool { state.withLock(\.hasTriedToRegister) }

    /// Tells of the instances that were known when a process ran here last. To be called before any peer is.
    package func remember() {
        guard let addresses = file?.read(), !addresses.isEmpty else { return }
        state.withLock { state in
            state.addresses = addresses
            state.known.remember(addresses)
        }
        onChange(addresses)
    }

    /// A service listens. Registered once all have entered and are ready.
    /// - Parameters:
    ///   - isEncrypted: whether it takes HTTPS, and nothing else.
    ///   - count: how many there are.
    package func enter(_ service: ServiceName, host: String, port: Int, isEncrypted: Bool = false, outOf count: Int) {
        let app = service.description
        let address = settings.ipAddress ?? (["0.0.0.0", "::"].contains(host) ? settings.machineAddress : host)
        let id = settings.instanceID.map { count == 1 ? $0 : "\($0):\(app)" } ?? "\(address):\(app):\(port)"
        var record = RegisteredInstance(
            id: id, app: app.uppercased(), hostName: settings.hostName, ipAddress: address, port: port, status: .up)
        record.vipAddress = app
        record.secureVipAddress = app
        record.lease.renewalSeconds = max(1, Int(settings.renewal.seconds))
        record.lease.durationSeconds = max(1, Int(settings.lease.seconds))
        record.lastDirtyAt = Instant.now.microseconds / 1_000
        if isEncrypted {
            record.port.isEnabled = false
            record.securePort = .init(port, isEnabled: true)
        }
        let url = (isEncrypted ? "https://" : "http://") + (address.contains(":") ? "[\(address)]" : address) + ":\(port)"
        record.homePageURL = "\(url)/"
        record.statusPageURL = "\(url)/health/live"
        record.healthCheckURL = "\(url)/health/ready"
        if isEncrypted { record.secureHealthCheckURL = record.healthCheckURL }
        let own = Own(record: record)
        let entered = state.withLock { state in
            state.own.append(own)
            return state.own.count
        }
        if entered == count { allEntered.finish() }
    }

    package func run() async throws {
        let connections = RegistryConnections()
        state.withLock { $0.connections = settings.registries.map { connections.to($0) } }
        await cancelWhenGracefulShutdown {
            await withTaskGroup { group in
                group.addTask { await self.keepKnowing() }
                group.addTask { await self.keepRegistered() }
                group.addTask { await self.keepForgetting() }
                group.addTask { await self.keepFile() }
            }
        }
        await cancelAll()
        state.withLock { $0.connections = [] }
        try await connections.close()
    }

    // MARK: Being known

    private func keepRegistered() async {
        for await _ in entered {}
        while !Task.isCancelled, await !isReady() { try? await Task.sleep(for: .milliseconds(50)) }
        // An earlier life under the same name may have left a status that is not this one's.
        for own in state.withLock(\.own) {
            _ = try? await asking("cancel", quietly: true) { try await $0.cancel(own.record) }
        }
        while !Task.isCancelled {
            let isWell = await renewAll(alsoNew: true)
            state.withLock { $0.hasTriedToRegister = true }
            try? await Task.sleep(for: (isWell ? settings.renewal : min(RegistryClient.pauseAfterFailure, settings.renewal)).duration)
        }
    }

    /// Says of everything that runs here that it does, and registers what is not known.
    /// - Parameter alsoNew: whether what was never registered is registered as well.
    /// - Returns: whether a registry has heard it.
    @discardableResult
    func renewAll(alsoNew: Bool) async -> Bool {
        var isWell = true
        for (index, own) in state.withLock(\.own).enumerated() where alsoNew || own.isRegistered {
            do {
                if own.isRegistered, try await asking("renew", { try await $0.renew(own.record) }) { continue }
                let record = state.withLock { $0.own[index].record }
                try await asking("register") { try await $0.register(record) }
                state.withLock { $0.own[index].isRegistered = true }
                logger.info("registered", metadata: ["application": "\(record.app)", "instance": "\(record.id)"])
            } catch {
                isWell = false
                tell(of: error)
            }
        }
        if isWell { state.withLock { $0.refusal = nil } }
        return isWell
    }

    /// What will not go away by itself is said once, and aloud.
    private func tell(of error: any Error) {
        guard let refused = error as? RegistryConnection.Refused, refused.status < 500 else { return }
        let isNew = state.withLock { state in
            defer { state.refusal = refused.description }
            return state.refusal != refused.description
        }
        if isNew { logger.error("the registry refuses what runs here", metadata: ["error": "\(refused)"]) }
    }

    /// Says that no more requests are wanted here.
    package func drain() async {
        let own = state.withLock { state in
            for index in state.own.indices { state.own[index].record.status = .outOfService }
            return state.own.filter(\.isRegistered)
        }
        await sayAtOnce(own, "drain") { _ = try await $0.setStatus(.outOfService, of: $1, within: .milliseconds(500)) }
    }

    private func cancelAll() async {
        await sayAtOnce(state.withLock { $0.own.filter(\.isRegistered) }, "cancel") { try await $0.cancel($1, within: .seconds(1)) }
    }

    /// Of all that runs here at the same time: a registry that does not answer holds up the end of this process once, not as often.
    private func sayAtOnce(
        _ own: [Own], _ what: String, _ ask: @escaping @Sendable (RegistryConnection, RegisteredInstance) async throws -> Void
    ) async {
        await withDiscardingTaskGroup { group in
            for own in own {
                group.addTask { _ = try? await self.asking(what) { try await ask($0, own.record) } }
            }
        }
    }

    /// Asks one registry after the other, beginning with the one that answered last.
    @discardableResult
    private func asking<Answer: Sendable>(
        _ what: String, quietly: Bool = false, _ ask: (RegistryConnection) async throws -> Answer
    ) async throws -> Answer {
        let (connections, current) = state.withLock { ($0.connections, $0.current) }
        var last: any Error = CancellationError()
        for offset in connections.indices {
            let connection = connections[(current + offset) % connections.count]
            do {
                return try await ask(connection)
            } catch {
                last = error
                if !quietly {
                    logger.debug(
                        "a registry could not be asked",
                        metadata: ["registry": "\(connection.address)", "for": "\(what)", "error": "\(error)"])
                }
            }
        }
        throw last
    }

    // MARK: The file

    private func keepFile() async {
        guard let file else { return }
        for await _ in changed {
            do {
                try await file.write(state.withLock(\.addresses))
            } catch {
                logger.warning("the known instances could not be written", metadata: ["file": "\(file.path)", "error": "\(error)"])
            }
            // Instances come and go together.
            try? await Task.sleep(for: .seconds(1))
        }
    }

    /// Takes in what a registry says, and tells whoever wants to know.
    func learn(_ change: (inout KnownInstances) -> Void) {
        let addresses = state.withLock { state -> [String: [Instance]]? in
            change(&state.known)
            let addresses = state.known.addresses(at: .now)
            guard state.known.isHeard, addresses != state.addresses else { return nil }
            state.addresses = addresses
            // Under the lock, so that the last that is known is also the last that is told.
            onChange(addresses)
            return addresses
        }
        if addresses != nil { hasChanged.yield() }
    }
}

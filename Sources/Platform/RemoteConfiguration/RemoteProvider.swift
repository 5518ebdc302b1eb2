package import Configuration
import Logging
import ServiceLifecycle
import Synchronization
package import Values

/// Settings from a Config Server. It always has some: those of the last fetch that succeeded, in this run or in one before.
package final class RemoteProvider: ConfigProvider, Service {
    /// Why the first settings could not be had.
    package struct Unreachable: Error, CustomStringConvertible {
        package let description: String
    }

    private struct State {
        var fetched: [String: RemoteClient.Fetched]
        var snapshot: RemoteSnapshot
        /// The server that answered last.
        var answeredBy: String?
        /// The server that knows of a change for which nothing was fetched yet.
        var announcedBy: String?
        /// Why the last fetch failed.
        var trouble: String?
        var watchers: [UInt64: @Sendable (RemoteSnapshot) -> Void] = [:]
        var lastWatcher: UInt64 = 0
    }

    package let providerName = RemoteSnapshot.providerName
    private let address: RemoteAddress
    /// Nil where nothing is kept.
    private let copy: LastGoodCopy?
    private let poll: TimeSpan
    private let state: Mutex<State>

    private init(
        _ address: RemoteAddress, copy: LastGoodCopy?, poll: TimeSpan, fetched: [String: RemoteClient.Fetched], answeredBy: String?,
        trouble: String?
    ) {
        self.address = address
        self.copy = copy
        self.poll = poll
        state = Mutex(
            State(
                fetched: fetched, snapshot: RemoteProvider.snapshot(of: fetched, address), answeredBy: answeredBy, trouble: trouble))
    }

    /// Fetches the settings, or takes the last ones that came if no server answers in a moment. Where there are none either it goes on
    /// asking until `patience` is over, or until a server says what asking again does not mend, and then throws `Unreachable`.
    /// - Parameters:
    ///   - folder: where they are kept.
    ///   - keeps: whether those that come are written there. Where not, those of before are used all the same.
    ///   - poll: how often it is asked whether anything changed, beside what the server says by itself.
    package static func connect(
        _ address: RemoteAddress, folder: String, keeps: Bool = true, poll: TimeSpan, patience: TimeSpan = .seconds(30)
    ) async throws -> RemoteProvider {
        let copy = LastGoodCopy(folder: folder, address: address)
        let client = RemoteClient(address)
        do {
            let provider = try await connect(client, copy, keeps: keeps, poll: poll, patience: patience)
            try await client.close()
            return provider
        } catch {
            try? await client.close()
            throw error
        }
    }

    private static func connect(
        _ client: RemoteClient, _ copy: LastGoodCopy, keeps: Bool, poll: TimeSpan, patience: TimeSpan
    ) async throws -> RemoteProvider {
        let end = ContinuousClock.now + patience.duration
        let kept = await copy.read()
        func provider(_ fetched: [String: RemoteClient.Fetched], answeredBy url: String?, trouble: String?) -> RemoteProvider {
            RemoteProvider(
                client.address, copy: keeps ? copy : nil, poll: poll, fetched: fetched, answeredBy: url, trouble: trouble)
        }
        while true {
            do {
                let answer = try await client.fetch(first: [], known: kept ?? [:])
                let provider = provider(answer.fetched, answeredBy: answer.url, trouble: nil)
                await provider.keep(answer.fetched, Logger(label: "settings"))
                return provider
            } catch {
                if let kept { return provider(kept, answeredBy: nil, trouble: "\(error)") }
                if let failure = error as? RemoteClient.Failure, failure.isLasting {
                    throw Unreachable(description: "The settings cannot be had, and there are none of before: \(failure).")
                }
                guard ContinuousClock.now < end else {
                    throw Unreachable(
                        description:
                            "No Config Server answers (\(error)), and there are no settings of before. Start one, or correct TICKETFLOW_CONFIG_URLS."
                    )
                }
                try await Task.sleep(for: .milliseconds(250))
            }
        }
    }

    private static func snapshot(of fetched: [String: RemoteClient.Fetched], _ address: RemoteAddress) -> RemoteSnapshot {
        let sources = address.applications.flatMap { fetched[$0]?.document.propertySources ?? [] }
        return RemoteSnapshot(Placeholders.filled(sources.inForce))
    }

    /// Writes them down for a time without a server. Where that fails they are in force all the same.
    private func keep(_ fetched: [String: RemoteClient.Fetched], _ logger: Logger) async {
        do {
            try await copy?.write(fetched)
        } catch {
            logger.warning("settings cannot be kept for a time without a server", metadata: ["error": "\(error)"])
        }
    }

    /// Why the settings may be old; nil if they are those of the server.
    package var trouble: String? { state.withLock { $0.trouble } }

    // MARK: While it runs

    /// Follows the server until the process stops.
    package func run() async throws {
        let logger = Logger(label: "settings")
        if let trouble {
            logger.warning("no Config Server answers; the settings are those of the last time", metadata: ["error": "\(trouble)"])
        }
        let client = RemoteClient(address)
        let (wishes, wish) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                for url in self.address.urls {
                    for application in self.address.applications {
                        group.addTask {
                            await self.listen(to: application, at: url, client) {
                                // Whoever sees a change names the server that knows of it.
                                self.state.withLock { $0.announcedBy = url }
                                wish.yield()
                            } onLoss: {
                                wish.yield()
                            }
                        }
                    }
                }
                group.addTask {
                    while !Task.isCancelled {
                        try? await Task.sleep(for: self.poll.duration)
                        wish.yield()
                    }
                }
                group.addTask { for await _ in wishes { await self.refresh(client, logger) } }
            }
        }
        try await client.close()
    }

    private func listen(
        to application: String, at url: String, _ client: RemoteClient, onChange: @escaping @Sendable () -> Void,
        onLoss: @escaping @Sendable () -> Void
    ) async {
        var pause = 0.2
        while !Task.isCancelled {
            do {
                let hasStream = try await client.listen(to: application, at: url) { [self] event in
                    pause = 0.2
                    let version = event.name == "version" ? String(decoding: event.data, as: UTF8.self) : nil
                    let isKnown = version != nil && state.withLock { $0.trouble == nil && $0.fetched[application]?.etag == version }
                    if !isKnown { onChange() }
                }
                // Another server than ours: polling has to do.
                if !hasStream { pause = 60 }
            } catch {
                // Whether another one answers, and whether to say that none does, is for the one who fetches.
                onLoss()
                pause = min(5, pause * 2)
            }
            try? await Task.sleep(for: .seconds(pause * Double.random(in: 0.5...1)))
        }
    }

    private func refresh(_ client: RemoteClient, _ logger: Logger) async {
        let (first, known) = state.withLock { state in
            defer { state.announcedBy = nil }
            return ([state.announcedBy, state.answeredBy].compactMap { $0 }, state.fetched)
        }
        do {
            let answer = try await client.fetch(first: first, known: known)
            let fetched = answer.fetched
            let snapshot = RemoteProvider.snapshot(of: fetched, address)
            let (isNew, wasInTrouble) = state.withLock { state in
                let (isNew, wasInTrouble) = (state.snapshot != snapshot, state.trouble != nil)
                state.fetched = fetched
                state.snapshot = snapshot
                state.answeredBy = answer.url
                state.trouble = nil
                // Under the lock, so that everybody sees the same order.
                if isNew { for watcher in state.watchers.values { watcher(snapshot) } }
                return (isNew, wasInTrouble)
            }
            if wasInTrouble { logger.info("a Config Server answers again") }
            guard isNew else { return }
            let versions = Set(fetched.values.compactMap(\.document.version)).sorted().joined(separator: " ")
            logger.info("settings changed", metadata: ["version": "\(versions)"])
            await keep(fetched, logger)
        } catch is CancellationError {
        } catch {
            let isNews = state.withLock { state in
                defer { state.trouble = "\(error)" }
                return state.trouble == nil
            }
            if isNews {
                logger.warning("settings cannot be fetched; those of before stay", metadata: ["error": "\(error)"])
            }
        }
    }

    // MARK: ConfigProvider

    package func value(forKey key: AbsoluteConfigKey, type: ConfigType) throws -> LookupResult {
        try state.withLock { $0.snapshot }.value(forKey: key, type: type)
    }

    /// What the last fetch brought: another one is made when there is something new.
    package func fetchValue(forKey key: AbsoluteConfigKey, type: ConfigType) async throws -> LookupResult {
        try value(forKey: key, type: type)
    }

    package func snapshot() -> any ConfigSnapshot {
        state.withLock { $0.snapshot }
    }

    package func watchSnapshot<Return: ~Copyable>(
        updatesHandler: (_ updates: ConfigUpdatesAsyncSequence<any ConfigSnapshot, Never>) async throws -> Return
    ) async throws -> Return {
        let (stream, continuation) = AsyncStream<any ConfigSnapshot>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let id = watch { continuation.yield($0) }
        defer { leave(id) }
        return try await updatesHandler(ConfigUpdatesAsyncSequence(stream))
    }

    package func watchValue<Return: ~Copyable>(
        forKey key: AbsoluteConfigKey, type: ConfigType,
        updatesHandler: (_ updates: ConfigUpdatesAsyncSequence<Result<LookupResult, any Error>, Never>) async throws -> Return
    ) async throws -> Return {
        let (stream, continuation) = AsyncStream<Result<LookupResult, any Error>>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let last = Mutex<Result<LookupResult, any Error>?>(nil)
        let id = watch { snapshot in
            let result = Result { try snapshot.value(forKey: key, type: type) }
            let isNew = last.withLock { last in
                if case .success(let old)? = last, case .success(let new) = result, old == new { return false }
                last = result
                return true
            }
            if isNew { continuation.yield(result) }
        }
        defer { leave(id) }
        return try await updatesHandler(ConfigUpdatesAsyncSequence(stream))
    }

    /// - Parameter watcher: is told the present settings at once, and each later ones. It may not take any time.
    private func watch(_ watcher: @escaping @Sendable (RemoteSnapshot) -> Void) -> UInt64 {
        state.withLock { state in
            state.lastWatcher += 1
            state.watchers[state.lastWatcher] = watcher
            watcher(state.snapshot)
            return state.lastWatcher
        }
    }

    private func leave(_ id: UInt64) {
        state.withLock { $0.watchers[id] = nil }
    }
}

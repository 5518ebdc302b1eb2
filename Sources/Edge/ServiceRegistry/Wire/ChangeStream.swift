import Discovery
import Messaging
import ServiceLifecycle
import Values

/// All changes as they happen, for one client (`text/event-stream`).
///
/// The first event, `all`, is everything there is; each `change` after it is an instance with what became of it. Their ids are a
/// life of the registry and a version: a client that comes back with the last id that it saw (`Last-Event-ID`) gets what it has missed, or
/// `all` where that is not known any more. Where nothing happens something is said every few seconds.
final class ChangeStream: Sendable {
    static let contentType = "text/event-stream"
    private static let heartbeat = Duration.seconds(4)

    private let registry: Registry
    private let answers: AnswerCache
    private let watch: Registry.Watch

    init(_ registry: Registry, answers: AnswerCache) {
        self.registry = registry
        self.answers = answers
        watch = registry.watch()
    }

    deinit {
        registry.end(watch)
    }

    /// - Parameter lastID: of the last event that the client has seen.
    /// - Returns: what is said first, and the rest as it comes. Each piece is made when the one before it is sent: a slow client gets more
    ///   at once, and costs no memory.
    func begin(after lastID: String?) async -> (first: [UInt8], rest: AsyncStream<[UInt8]>) {
        var version = known(lastID)
        let first = await pieces(after: &version) ?? ServerSentEvent.heartbeat
        let position = Position(version ?? 0)
        let rest = AsyncStream<[UInt8]>(unfolding: { [self] in
            if Task.isCancelled || Task.isShuttingDownGracefully { return nil }
            await withGracefulShutdownHandler {
                if registry.version == position.version { await watch.signal.wait(atMost: ChangeStream.heartbeat) }
            } onGracefulShutdown: { [watch] in
                watch.signal.send()
            }
            if Task.isCancelled || Task.isShuttingDownGracefully { return nil }
            var version: Int64? = position.version
            let bytes = await pieces(after: &version) ?? ServerSentEvent.heartbeat
            position.version = version ?? 0
            return bytes
        })
        return (first, rest)
    }

    /// Used by one piece of work at a time: a stream is read by one reader.
    private final class Position: @unchecked Sendable {
        var version: Int64

        init(_ version: Int64) {
            self.version = version
        }
    }

    private func known(_ lastID: String?) -> Int64? {
        guard let parts = lastID?.split(separator: ":"), parts.count == 2, parts[0] == registry.id else { return nil }
        return Int64(parts[1])
    }

    /// Nil where nothing has changed.
    private func pieces(after version: inout Int64?) async -> [UInt8]? {
        if let known = version, let changes = registry.with({ table, _ in table.changes(after: known).map { Array($0) } }) {
            guard let last = changes.last else { return nil }
            version = last.version
            return changes.flatMap { change in
                ServerSentEvent(
                    id: "\(registry.id):\(change.version)", name: "change", data: change.instance.document(.json)
                ).bytes
            }
        }
        let everything = await answers.answer(.init(.everything, .json))
        version = everything.version
        return ServerSentEvent(id: "\(registry.id):\(everything.version)", name: "all", data: everything.bytes).bytes
    }
}

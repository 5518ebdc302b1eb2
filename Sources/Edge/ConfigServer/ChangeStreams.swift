import Metrics
import ServiceKit
import ServiceLifecycle
import Synchronization
import Values

/// Tells whoever listens that settings of an application may have changed, as server-sent events.
final class ChangeStreams: Sendable {
    private struct Listener {
        let application: String
        let continuation: AsyncStream<[UInt8]>.Continuation
    }

    private struct State {
        var listeners: [UInt64: Listener] = [:]
        var last: UInt64 = 0
        var isOver = false
    }

    private let state = Mutex(State())
    private let listening = Gauge(label: "config_server_listeners")

    /// - Parameter version: what the application's settings are now.
    func listen(to application: String, version: String) -> AsyncStream<[UInt8]> {
        // Whoever is slow needs to hear only once that something changed.
        let (stream, continuation) = AsyncStream<[UInt8]>.makeStream(bufferingPolicy: .bufferingNewest(4))
        let (id, isOver) = state.withLock { state in
            state.last += 1
            if !state.isOver { state.listeners[state.last] = Listener(application: application, continuation: continuation) }
            return (state.last, state.isOver)
        }
        continuation.onTermination = { [weak self] _ in self?.leave(id) }
        continuation.yield(ServerSentEvent(name: "version", data: Array(version.utf8)).bytes)
        if isOver { continuation.finish() }
        listening.record(state.withLock { $0.listeners.count })
        return stream
    }

    private func leave(_ id: UInt64) {
        let count = state.withLock { state in
            state.listeners[id] = nil
            return state.listeners.count
        }
        listening.record(count)
    }

    /// - Parameter applications: `*` is all of them.
    func announce(_ applications: Set<String>) {
        send(ServerSentEvent(name: "refresh", data: Array("{}".utf8)).bytes) {
            applications.contains("*") || applications.contains($0.application)
        }
    }

    /// So that both ends notice when the connection is gone.
    func keepAlive() {
        send(ServerSentEvent.heartbeat) { _ in true }
    }

    private func send(_ bytes: [UInt8], to isMeant: (Listener) -> Bool) {
        for listener in state.withLock({ Array($0.listeners.values) }) where isMeant(listener) { listener.continuation.yield(bytes) }
    }

    /// Ends all streams, now and later: listeners go to another server.
    func end() {
        let listeners = state.withLock { state in
            state.isOver = true
            return Array(state.listeners.values)
        }
        for listener in listeners { listener.continuation.finish() }
    }
}

/// Ends the streams when the process is asked to stop: a listener of HTTP waits for its last answer.
struct StreamsEnd: Service {
    let streams: ChangeStreams

    func run() async throws {
        try? await gracefulShutdown()
        streams.end()
    }
}

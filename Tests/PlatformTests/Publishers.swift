import Messaging
import Synchronization

/// Publishes all the time, from several tasks, and knows what was confirmed.
final class Publishers: Sendable {
    private struct State {
        var failures = 0
        var longest = Duration.zero
    }

    let confirmed = Journal()
    private let state = Mutex(State())
    private let tasks = Mutex<[Task<Void, Never>]>([])

    init(_ broker: RabbitMQBroker) {
        let tasks = (0..<4).map { _ in
            Task { [self] in
                while !Task.isCancelled {
                    // One that is told at once that there is no connection does not ask again at once.
                    if await !publish(by: broker) { try? await Task.sleep(for: .milliseconds(20)) }
                }
            }
        }
        self.tasks.withLock { $0 = tasks }
    }

    /// How often some could not be published.
    var failures: Int { state.withLock { $0.failures } }
    /// How long it took at most to learn what became of some.
    var longest: Duration { state.withLock { $0.longest } }

    private func publish(by broker: RabbitMQBroker) async -> Bool {
        let messages = (0..<20).map { _ in RabbitMQTests.message() }
        let begin = ContinuousClock.now
        var isConfirmed = false
        do {
            try await broker.publish(messages)
            for message in messages { confirmed.add(message.id) }
            isConfirmed = true
        } catch {}
        let time = ContinuousClock.now - begin
        state.withLock { state in
            state.longest = max(state.longest, time)
            if !isConfirmed { state.failures += 1 }
        }
        return isConfirmed
    }

    func cancel() {
        for task in tasks.withLock({ $0 }) { task.cancel() }
    }

    /// Returns when nothing is under way any more.
    func stop() async {
        cancel()
        for task in tasks.withLock({ $0 }) { await task.value }
    }
}

package import Values

/// Carries messages from outboxes to queues. Two implementations: embedded in the process, and RabbitMQ.
///
/// At least once, in no particular order.
package protocol Broker: Sendable {
    /// Makes what is missing. Every publisher declares the whole topology first, so that no queue is missing when an event is sent.
    func declare(_ queues: [QueueDeclaration]) async throws

    /// Returns when every queue that wants them has the messages durably, or its consumer has handled them.
    func publish(_ messages: [Message]) async throws

    /// Hands out messages until the process is asked to stop; what is in hand is finished first. `handle` runs up to `concurrency` times side by side.
    func consume(
        _ queue: String, concurrency: Int, handle: @escaping @Sendable (Message) async -> Outcome
    ) async throws

    /// Messages that failed for good, oldest first.
    func deadLetters(in queue: String?, limit: Int) async throws -> [DeadLetter]

    /// Puts dead letters back into their queue. Nil for `ids` means all. Returns how many.
    func replay(_ ids: [MessageID]?, in queue: String) async throws -> Int

    /// Removes dead letters for good. Nil for `ids` means all. Returns how many.
    func discard(_ ids: [MessageID]?, in queue: String) async throws -> Int

    func queues() async throws -> [QueueState]
}

package struct QueueDeclaration: Hashable, Sendable {
    package let name: String
    /// Topic patterns: words between dots, `*` for one word, `#` for any number.
    package let patterns: [String]

    package init(name: String, patterns: [String]) {
        self.name = name
        self.patterns = patterns
    }
}

/// What became of a delivery.
package enum Outcome: Sendable {
    case handled
    /// To be tried again after a wait, or a dead letter after the last one.
    case failed(reason: String)
}

package struct DeadLetter: Sendable {
    package let queue: String
    package let message: Message
    package let reason: String
    package let attempts: Int
    package let published: Instant
}

package struct QueueState: Sendable {
    package let name: String
    package let ready: Int
    package let waiting: Int
    package let dead: Int
}

/// How long a failed message waits before it is tried again; after the last wait it is a dead letter.
package enum RetryPolicy {
    package static let waits: [TimeSpan] = [.seconds(1), .seconds(10), .seconds(60)]
}

/// Whether a routing key matches a topic pattern, as AMQP 0-9-1 defines it.
package func topic(_ pattern: String, matches name: String) -> Bool {
    func match(_ pattern: ArraySlice<Substring>, _ words: ArraySlice<Substring>) -> Bool {
        guard let first = pattern.first else { return words.isEmpty }
        if first == "#" {
            return match(pattern.dropFirst(), words) || (!words.isEmpty && match(pattern, words.dropFirst()))
        }
        guard let word = words.first, first == "*" || first == word else { return false }
        return match(pattern.dropFirst(), words.dropFirst())
    }
    return match(
        pattern.split(separator: ".", omittingEmptySubsequences: false)[...],
        name.split(separator: ".", omittingEmptySubsequences: false)[...])
}

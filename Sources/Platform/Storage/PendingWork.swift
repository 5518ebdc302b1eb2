internal import EventLoops
import Synchronization
import Values

/// What one coalescer decides together.
struct Lane: Hashable {
    let coalescer: ObjectIdentifier
    let name: String
}

/// A transaction that somebody waits for.
protocol PendingWork: Sendable {
    /// Nil for one that nothing else is decided with.
    var lane: Lane? { get }
    var waiter: any Waiter { get }
    /// Runs the body and keeps what it said; false if it threw.
    /// - Parameter members: of the same lane, this one among them.
    func perform(with members: [any PendingWork], _ transaction: Transaction) -> Bool
}

/// Who waits for a transaction.
protocol Waiter: Sendable {
    var home: HomeLoop { get }
    /// Until when; nil where nobody has set an end.
    var deadline: Instant? { get }
    /// Answers with what was kept. Only the first answer counts.
    func finish()
    func fail(_ error: StorageError)
}

extension Waiter {
    func isOver(at now: Instant) -> Bool {
        guard let deadline else { return false }
        return deadline <= now
    }
}

/// A transaction that is decided for itself.
struct Member<Value: Sendable>: PendingWork {
    let outcome: Outcome<Value>
    let body: @Sendable (Transaction) throws -> Value

    var lane: Lane? { nil }
    var waiter: any Waiter { outcome }

    func perform(with members: [any PendingWork], _ transaction: Transaction) -> Bool {
        do {
            outcome.keep(.success(try outcome.asItsCaller { try body(transaction) }))
            return true
        } catch {
            outcome.keep(.failure(error))
            return false
        }
    }
}

/// A write that is decided with the others of its lane.
struct LaneMember<Item: Sendable, Value: Sendable>: PendingWork {
    let outcome: Outcome<Value>
    let lane: Lane?
    let item: Item
    let coalescer: Coalescer<Item, Value>

    var waiter: any Waiter { outcome }

    func perform(with members: [any PendingWork], _ transaction: Transaction) -> Bool {
        let members = members.map { $0 as! LaneMember<Item, Value> }
        do {
            let answers = try coalescer.decide(members.map(\.item), transaction)
            precondition(answers.count == members.count, "a coalescer answered \(answers.count) of \(members.count) items")
            for (member, answer) in zip(members, answers) { member.outcome.keep(answer) }
            return true
        } catch {
            for member in members { member.outcome.keep(.failure(error)) }
            return false
        }
    }
}

/// What becomes of a transaction, and who waits for it.
final class Outcome<Value: Sendable>: Waiter {
    let home = HomeLoop.current
    let deadline: Instant?
    private let correlation = Correlation.current
    private let result = Mutex<Result<Value, any Error>?>(nil)
    private let continuation: Mutex<CheckedContinuation<Value, any Error>?>

    init(_ continuation: CheckedContinuation<Value, any Error>) {
        deadline = Deadline.current
        self.continuation = Mutex(continuation)
    }

    /// Runs a body on the engine's thread with what its caller's task knows of where the work came from.
    func asItsCaller<Result>(_ body: () throws -> Result) throws -> Result {
        guard correlation.id != nil || correlation.traceparent != nil else { return try body() }
        return try Correlation.$current.withValue(correlation) { try body() }
    }

    func keep(_ result: Result<Value, any Error>) {
        self.result.withLock { $0 = result }
    }

    func finish() {
        guard let result = result.withLock({ $0 }) else { return }
        take()?.resume(with: result)
    }

    func fail(_ error: StorageError) {
        take()?.resume(throwing: error)
    }

    private func take() -> CheckedContinuation<Value, any Error>? {
        continuation.withLock { continuation in
            defer { continuation = nil }
            return continuation
        }
    }
}

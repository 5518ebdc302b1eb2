internal import EventLoops
import Synchronization
import Values

/// What one coalescer decides together.
struct Lane: Hashable {
    let coalescer: ObjectIdentifier
    let name: String
}

/// A transaction that somebody waits for. It knows the types of what it answers, whoever performs it does not: an engine that is
/// generic over them would look them up at run time at each step.
final class PendingWork: Sendable {
    /// Resumes who waits.
    typealias Answer = @Sendable () -> Void
    /// Runs the transaction, or with it others of the same lane, and keeps what it said.
    fileprivate typealias Perform = @Sendable (_ members: [PendingWork], _ transaction: Transaction) throws -> Void

    private enum State {
        case waiting
        /// Has run, and is answered once what it did is durable.
        case performed(Answer)
        case answered
    }

    let home = HomeLoop.current
    /// Until when somebody waits; nil where nobody has set an end.
    let deadline = Deadline.current
    /// Nil where nothing else is decided with it.
    let lane: Lane?
    /// Of a lane: what is decided.
    fileprivate let item: (any Sendable)?
    private let correlation = Correlation.current
    private let perform: Perform
    private let refuse: @Sendable (any Error) -> Void
    private let state = Mutex(State.waiting)

    fileprivate init(
        lane: Lane? = nil, item: (any Sendable)? = nil, perform: @escaping Perform, refuse: @escaping @Sendable (any Error) -> Void
    ) {
        self.lane = lane
        self.item = item
        self.perform = perform
        self.refuse = refuse
    }

    func isOver(at now: Instant) -> Bool {
        guard let deadline else { return false }
        return deadline <= now
    }

    /// Runs the body and keeps what it said; false if it threw.
    /// - Parameter members: of the same lane, this one among them.
    func perform(with members: [PendingWork], _ transaction: Transaction) -> Bool {
        do {
            try perform(members, transaction)
            return true
        } catch {
            for member in members { member.keep { [refuse = member.refuse] in refuse(error) } }
            return false
        }
    }

    fileprivate func keep(_ answer: @escaping Answer) {
        state.withLock { state in
            if case .answered = state { return }
            state = .performed(answer)
        }
    }

    /// Answers with what was kept. Only the first answer counts.
    func finish() {
        let answer = state.withLock { state -> Answer? in
            guard case .performed(let answer) = state else { return nil }
            state = .answered
            return answer
        }
        answer?()
    }

    func fail(_ error: StorageError) {
        let isFirst = state.withLock { state in
            if case .answered = state { return false }
            state = .answered
            return true
        }
        if isFirst { refuse(error) }
    }

    /// Runs a body on the engine's thread with what its caller's task knows of where the work came from.
    fileprivate func asItsCaller<Result>(_ body: () throws -> Result) throws -> Result {
        guard correlation.id != nil || correlation.traceparent != nil else { return try body() }
        return try Correlation.$current.withValue(correlation) { try body() }
    }
}

extension PendingWork {
    /// Waits for a transaction that is decided for itself.
    /// - Parameter begin: hands it to an engine, which finishes it or fails it.
    static func wait<Result: Sendable>(
        for body: @escaping @Sendable (Transaction) throws -> Result, _ begin: (PendingWork) -> Void
    ) async throws -> Result {
        // Not a checked one: the state sees to it that it is resumed once, and each costs an object more.
        try await unsafe withUnsafeThrowingContinuation { continuation in
            begin(
                PendingWork { members, transaction in
                    let work = members[0]
                    let result = try work.asItsCaller { try body(transaction) }
                    work.keep { unsafe continuation.resume(returning: result) }
                } refuse: { error in
                    unsafe continuation.resume(throwing: error)
                })
        }
    }

    /// Waits for a write that is decided with the others of its lane.
    static func wait<Item: Sendable, Result: Sendable>(
        for item: Item, lane: String, by coalescer: Coalescer<Item, Result>, _ begin: (PendingWork) -> Void
    ) async throws -> Result {
        try await unsafe withUnsafeThrowingContinuation { continuation in
            let waiting = LaneItem(item: item) { unsafe continuation.resume(with: $0) }
            begin(
                PendingWork(lane: Lane(coalescer: ObjectIdentifier(coalescer), name: lane), item: waiting) { members, transaction in
                    let items = members.map { $0.item as! LaneItem<Item, Result> }
                    let answers = try coalescer.decide(items.map { $0.item }, transaction)
                    precondition(answers.count == members.count, "a coalescer answered \(answers.count) of \(members.count) items")
                    for index in members.indices {
                        let (item, answer) = (items[index], answers[index])
                        members[index].keep { item.resume(answer) }
                    }
                } refuse: { error in
                    unsafe continuation.resume(throwing: error)
                })
        }
    }
}

/// What a lane decides, and who waits for it.
private final class LaneItem<Item: Sendable, Answer: Sendable>: Sendable {
    let item: Item
    let resume: @Sendable (Result<Answer, any Error>) -> Void

    init(item: Item, resume: @escaping @Sendable (Result<Answer, any Error>) -> Void) {
        self.item = item
        self.resume = resume
    }
}

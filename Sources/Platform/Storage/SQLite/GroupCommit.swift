internal import GRDB
import ServiceLifecycle
import Synchronization
import Values

/// Writes that arrive while a commit runs share the next one.
///
/// A commit that reaches the disk costs the same for one change as for a hundred. A member that throws rolls back alone; all are
/// answered after the one commit. A member may run twice, as the body of any transaction, and is never interrupted: an interrupt
/// would roll back the whole transaction.
///
/// GRDB's own asynchronous `write` was rejected: it rolls back when the caller's task is cancelled, and so with it the group.
final class GroupCommit: Sendable {
    private struct State {
        var waiting: [any PendingWrite] = []
        var running: [any PendingWrite] = []
        var isDraining = false
    }

    /// Bounds how long a group takes, and so how long its first member waits.
    private static let largestGroup = 256

    private let pool: DatabasePool
    private let connections: SQLiteConnections
    private let state = Mutex(State())

    init(pool: DatabasePool, connections: SQLiteConnections) {
        self.pool = pool
        self.connections = connections
    }

    func write<Result: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> Result) async throws -> Result {
        let deadline = Deadline.current
        return try await withCheckedThrowingContinuation { continuation in
            let member = Member(body: body, deadline: deadline, continuation: continuation)
            let startsDraining = state.withLock { state in
                state.waiting.append(member)
                defer { state.isDraining = true }
                return !state.isDraining
            }
            if startsDraining {
                pool.asyncWriteWithoutTransaction { [self] db in drain(db) }
            }
        }
    }

    /// Looks ten times a second for callers that no longer wait.
    func run() async {
        while !Task.isShuttingDownGracefully, (try? await Task.sleep(for: .milliseconds(100))) != nil {
            let now = Instant.now
            let (expired, begun) = state.withLock { state in
                let expired = state.waiting.filter { $0.isOver(at: now) }
                if !expired.isEmpty { state.waiting.removeAll { $0.isOver(at: now) } }
                return (expired, state.running.filter { $0.isOver(at: now) })
            }
            for member in expired { member.expire(begun: false) }
            for member in begun { member.expire(begun: true) }
        }
    }

    private func drain(_ db: GRDB.Database) {
        while true {
            let group = state.withLock { state in
                let group = Array(state.waiting.prefix(GroupCommit.largestGroup))
                state.waiting.removeFirst(group.count)
                state.running = group
                if group.isEmpty { state.isDraining = false }
                return group
            }
            if group.isEmpty { return }
            do {
                let connection = try connections.connection(of: db)
                // What a group that failed has left.
                connection.forgetCommitActions(after: 0)
                try commit(group, on: connection, db)
                for action in connection.takeCommitActions() { action() }
                for member in group { member.finish() }
            } catch {
                let reason = StorageError.commitFailed("\(error)")
                for member in group { member.fail(reason) }
            }
        }
    }

    /// First without savepoints, which cost a copy of every page that a member changes. A member that throws before it changes
    /// anything, as one that refuses does, needs none. For one that throws later, all are undone and run again, each in a savepoint.
    private func commit(_ group: [any PendingWrite], on connection: SQLiteConnection, _ db: GRDB.Database) throws {
        let transaction = Transaction(connection: connection)
        var isSpoiled = false
        try db.inTransaction(.immediate) {
            for member in group where !isSpoiled {
                let changes = connection.changes
                isSpoiled = try !perform(member, transaction, on: connection, db) && connection.changes != changes
            }
            return isSpoiled ? .rollback : .commit
        }
        // Where it was alone, it has its error and nothing is left of it.
        guard isSpoiled, group.count > 1 else { return }
        connection.forgetCommitActions(after: 0)
        try db.inTransaction(.immediate) {
            for member in group {
                try connection.run("SAVEPOINT member")
                if try !perform(member, transaction, on: connection, db) { try connection.run("ROLLBACK TO member") }
                try connection.run("RELEASE member")
            }
            return .commit
        }
    }

    /// False if the member threw.
    private func perform(
        _ member: any PendingWrite, _ transaction: Transaction, on connection: SQLiteConnection, _ db: GRDB.Database
    ) throws -> Bool {
        let actions = connection.commitActions.count
        let isDone = member.perform(transaction)
        if !isDone { connection.forgetCommitActions(after: actions) }
        guard db.isInsideTransaction else { throw StorageError.commitFailed("a member ended the transaction") }
        return isDone
    }
}

private protocol PendingWrite: Sendable {
    /// Runs the body and keeps what it said; false if it threw.
    func perform(_ transaction: Transaction) -> Bool
    func finish()
    func fail(_ error: StorageError)
    func isOver(at now: Instant) -> Bool
    func expire(begun: Bool)
}

private final class Member<Value: Sendable>: PendingWrite {
    private let body: @Sendable (Transaction) throws -> Value
    private let deadline: Instant?
    private let result = Mutex<Result<Value, any Error>?>(nil)
    private let continuation: Mutex<CheckedContinuation<Value, any Error>?>

    init(
        body: @escaping @Sendable (Transaction) throws -> Value, deadline: Instant?,
        continuation: CheckedContinuation<Value, any Error>
    ) {
        self.body = body
        self.deadline = deadline
        self.continuation = Mutex(continuation)
    }

    func perform(_ transaction: Transaction) -> Bool {
        do {
            let value = try body(transaction)
            result.withLock { $0 = .success(value) }
            return true
        } catch {
            result.withLock { $0 = .failure(error) }
            return false
        }
    }

    func finish() {
        guard let result = result.withLock({ $0 }) else { return }
        take()?.resume(with: result)
    }

    func fail(_ error: StorageError) {
        take()?.resume(throwing: error)
    }

    func isOver(at now: Instant) -> Bool {
        guard let deadline else { return false }
        return deadline <= now
    }

    func expire(begun: Bool) {
        take()?.resume(throwing: StorageError.deadline(begun: begun))
    }

    private func take() -> CheckedContinuation<Value, any Error>? {
        continuation.withLock { continuation in
            defer { continuation = nil }
            return continuation
        }
    }
}

internal import EventLoops
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
        var waiting: [PendingWork] = []
        var running: [PendingWork] = []
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

    func add(_ work: PendingWork) {
        let startsDraining = state.withLock { state in
            state.waiting.append(work)
            defer { state.isDraining = true }
            return !state.isDraining
        }
        if startsDraining {
            pool.asyncWriteWithoutTransaction { [self] db in drain(db) }
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
            for member in expired { member.fail(.deadline(begun: false)) }
            for member in begun { member.fail(.deadline(begun: true)) }
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
                try commit(group, on: connection)
                for action in connection.takeCommitActions() { action() }
                HomeLoop.resume(group, home: { $0.home }) { $0.finish() }
            } catch {
                let reason = if case StorageError.closed = error { StorageError.closed } else { StorageError.commitFailed("\(error)") }
                HomeLoop.resume(group, home: { $0.home }) { $0.fail(reason) }
            }
        }
    }

    /// First without savepoints, which cost a copy of every page that a member changes, and the members of a lane together. A member
    /// that throws before it changes anything, as one that refuses does, needs none. For one that throws later, and for a lane that
    /// throws, all are undone and run again, each alone in a savepoint.
    private func commit(_ group: [PendingWork], on connection: SQLiteConnection) throws {
        let transaction = Transaction(connection: connection)
        var isSpoiled = false
        try connection.inTransaction(.immediate) {
            for members in GroupCommit.lanes(group) where !isSpoiled {
                let changes = connection.changes
                let isDone = try perform(members, transaction, on: connection)
                isSpoiled = !isDone && (members.count > 1 || connection.changes != changes)
            }
            return isSpoiled ? .rollback : .commit
        }
        // Where it was alone, it has its error and nothing is left of it.
        guard isSpoiled, group.count > 1 else { return }
        connection.forgetCommitActions(after: 0)
        try connection.inTransaction(.immediate) {
            for member in group {
                try connection.run("SAVEPOINT member")
                if try !perform([member], transaction, on: connection) { try connection.run("ROLLBACK TO member") }
                try connection.run("RELEASE member")
            }
            return .commit
        }
    }

    /// Members that are performed together; the others each for itself.
    private static func lanes(_ group: [PendingWork]) -> [[PendingWork]] {
        var lanes: [[PendingWork]] = []
        var places: [Lane: Int] = [:]
        // Where there is a rush, nearly all are of one lane.
        var last: (lane: Lane, place: Int)?
        for member in group {
            guard let lane = member.lane else {
                lanes.append([member])
                continue
            }
            if let place = lane == last?.lane ? last?.place : places[lane] {
                lanes[place].append(member)
                last = (lane, place)
            } else {
                places[lane] = lanes.count
                last = (lane, lanes.count)
                lanes.append([member])
            }
        }
        return lanes
    }

    /// False if they threw.
    /// - Parameter members: one, or several of one lane.
    private func perform(_ members: [PendingWork], _ transaction: Transaction, on connection: SQLiteConnection) throws -> Bool {
        let actions = connection.commitActions.count
        let isDone = members[0].perform(with: members, transaction)
        if !isDone { connection.forgetCommitActions(after: actions) }
        guard connection.isInTransaction else { throw StorageError.commitFailed("a member ended the transaction") }
        return isDone
    }
}

internal import EventLoops
internal import GRDB
import Synchronization

/// Reads that arrive while a reader is at work are taken by it when it is done, without waking another thread: under load a
/// thread that sleeps and wakes costs more than what it reads.
///
/// A reader takes a new snapshot for each batch, after the batch was taken: every read sees all that was committed before it
/// was asked for.
final class GroupRead: Sendable {
    private struct State {
        var waiting: [PendingWork] = []
        var readersAtWork = 0
    }

    /// How many reads share a snapshot at most, so that none keeps the log from being checkpointed.
    private static let largestBatch = 64

    private let pool: DatabasePool
    private let connections: SQLiteConnections
    private let readers: Int
    private let state = Mutex(State())

    init(pool: DatabasePool, connections: SQLiteConnections, readers: Int) {
        self.pool = pool
        self.connections = connections
        self.readers = readers
    }

    func add(_ read: PendingWork) {
        let needsReader = state.withLock { state in
            state.waiting.append(read)
            guard state.readersAtWork < readers else { return false }
            state.readersAtWork += 1
            return true
        }
        if needsReader {
            pool.asyncUnsafeRead { [self] connection in drain(connection) }
        }
    }

    private func drain(_ connection: Result<GRDB.Database, any Error>) {
        while true {
            let batch = state.withLock { state in
                let batch = Array(state.waiting.prefix(GroupRead.largestBatch))
                state.waiting.removeFirst(batch.count)
                if batch.isEmpty { state.readersAtWork -= 1 }
                return batch
            }
            if batch.isEmpty { return }
            do {
                let db = try connection.get()
                let connection = try connections.connection(of: db)
                let transaction = Transaction(connection: connection)
                try connection.inTransaction(.deferred) {
                    for read in batch { _ = read.perform(with: [read], transaction) }
                    return .commit
                }
                HomeLoop.resume(batch, home: { $0.home }) { $0.finish() }
            } catch {
                let error = StorageError.translate(error)
                HomeLoop.resume(batch, home: { $0.home }) { $0.fail(error) }
            }
        }
    }
}

import Storage
import Synchronization
import TestServers
import Testing
import Values

/// Writes rows into a database while its server is in trouble, from several tasks at once, and knows what each of them was told.
final class Writers: Sendable {
    static let migration = Migration("0001-entries", "CREATE TABLE entry (id BIGINT PRIMARY KEY);")

    private struct Told {
        var count: Int64 = 0
        var done: Set<Int64> = []
        /// These are not there.
        var undone: Set<Int64> = []
        /// Of these nobody knows.
        var unknown: Set<Int64> = []
        var other: [String] = []
        var longest = Duration.zero
    }

    private let database: Storage::Database
    private let limit: TimeSpan
    private let told = Mutex(Told())

    /// - Parameter limit: how long each write may take.
    init(_ database: Storage::Database, limit: TimeSpan) {
        self.database = database
        self.limit = limit
    }

    var done: Int { told.withLock { $0.done.count } }
    /// How many writes were told that they are not done, or that it is unknown.
    var failed: Int { told.withLock { $0.undone.count + $0.unknown.count } }
    /// How long a write took at most until it was told something.
    var longest: Duration { told.withLock { $0.longest } }

    /// Writes as long as `body` runs. Each task waits for its answer before it writes again.
    func write(tasks: Int, while body: () async throws -> Void) async throws {
        try await withThrowingTaskGroup { group in
            group.addTask { [database] in try await database.run() }
            for _ in 0..<tasks {
                group.addTask { [self] in
                    while !Task.isCancelled {
                        await write()
                        // One that is told at once that there is no server does not ask again at once.
                        if failed > 0 { try? await Task.sleep(for: .milliseconds(10)) }
                    }
                }
            }
            do {
                try await body()
            } catch {
                group.cancelAll()
                throw error
            }
            group.cancelAll()
        }
    }

    private func write() async {
        let id = told.withLock { told in
            told.count += 1
            return told.count
        }
        let begin = ContinuousClock.now
        var failure: StorageError?
        do {
            try await Deadline.$current.withValue(.now + limit) {
                try await database.write { tx in _ = try tx.execute("INSERT INTO entry (id) VALUES (\(id))") }
            }
        } catch {
            failure = error as? StorageError ?? .engine(code: "", message: "\(error)")
        }
        let time = ContinuousClock.now - begin
        told.withLock { told in
            told.longest = max(told.longest, time)
            switch failure {
            case nil: told.done.insert(id)
            case .outcomeUnknown, .deadline(begun: true): told.unknown.insert(id)
            case .unavailable, .deadline(begun: false): told.undone.insert(id)
            case let failure?: told.other.append("\(failure)")
            }
        }
    }

    /// That what was told is true.
    func check() async throws {
        let there = try await database.read { tx in
            Set(try tx.rows("SELECT id FROM entry").map { try $0["id"] as Int64 })
        }
        let told = told.withLock { $0 }
        #expect(told.done.subtracting(there) == [], "written, and not there")
        #expect(told.undone.intersection(there) == [], "not written, and there")
        #expect(told.other == [])
    }
}

import Foundation
import Storage
import Testing

/// SQLite's log is written a commit at a time by a layer of this program's own.
@Suite struct SQLiteLogTests {
    private struct Refused: Error {}

    /// As a program would that starts after this one was killed: from the file and its log, without the index in shared memory.
    private func count(of path: String) async throws -> Int {
        let copy = NSTemporaryDirectory() + "ticketflow-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: copy) }
        for end in ["", "-wal"] { try FileManager.default.copyItem(atPath: path + end, toPath: copy + "/copy.sqlite" + end) }
        let database = try Storage::Database.sqlite(name: "copy", path: copy + "/copy.sqlite")
        let count = try await database.read { tx -> Int in
            #expect(try tx.row("PRAGMA integrity_check")?["integrity_check"] == "ok")
            return try tx.row("SELECT COUNT(*) AS count FROM item")?["count"] ?? 0
        }
        try await database.close()
        return count
    }

    /// From a part of a page to some hundred pages, which are more than are gathered, and enough of them that the log begins anew.
    @Test func `what was committed stands in the files, and what was undone does not`() async throws {
        try await Engine.sqlite.withDatabase { database, path in
            try await database.migrate([StorageTests.items])
            var committed = 0
            for round in 0..<60 {
                let (first, rows, isUndone) = (round * 1_000, [1, 3, 40, 400][round % 4], round % 5 == 3)
                let write: @Sendable (Transaction) throws -> Void = { tx in
                    for id in first..<first + rows {
                        try tx.execute("INSERT INTO item (id, name, bytes) VALUES (\(id), 'x', \([UInt8](repeating: 7, count: 3_000)))")
                    }
                    if isUndone { throw Refused() }
                }
                if isUndone {
                    await #expect(throws: Refused.self) { try await database.write(write) }
                } else {
                    try await database.write(write)
                    committed += rows
                }
                #expect(try await database.read { tx in try tx.row("SELECT COUNT(*) AS count FROM item")?["count"] } == committed)
                #expect(try await count(of: path) == committed)
            }
        }
    }
}

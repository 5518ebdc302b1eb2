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

    private static func sizeOfLog(_ path: String) -> Int {
        (try? FileManager.default.attributesOfItem(atPath: path + "-wal")[.size] as? Int) ?? 0
    }

    /// From a part of a page to some thousand pages, which are more than are gathered and more than the cache has, with enough of them that
    /// the log begins anew.
    @Test func `what was committed stands in the files, and what was undone does not`() async throws {
        try await Engine.sqlite.withDatabase { database, path in
            try await database.migrate([StorageTests.items])
            // Another connection that writes, as another process would.
            let other = try Storage::Database.sqlite(name: "other", path: path)
            var committed = 0
            for round in 0..<40 {
                let (first, rows, isUndone) = (round * 10_000, [1, 3, 40, 400, 2_000][round % 5], [3, 9].contains(round % 10))
                let write: @Sendable (Transaction) throws -> Void = { tx in
                    let before = SQLiteLogTests.sizeOfLog(path)
                    let ids = Array(first..<first + rows)
                    let bytes = [UInt8](repeating: 7, count: 3_000)
                    try tx.insert("INSERT INTO item (id, name, bytes) VALUES", ids) { $0.append($1, "x", bytes) }
                    try tx.execute("UPDATE item SET name = 'y' WHERE id >= \(first)")
                    #expect(SQLiteLogTests.sizeOfLog(path) == before, "something is in the log before the commit")
                    if isUndone { throw Refused() }
                }
                let database = round % 3 == 2 ? other : database
                if isUndone {
                    await #expect(throws: Refused.self) { try await database.write(write) }
                } else {
                    try await database.write(write)
                    committed += rows
                }
                for reader in [database, other] {
                    #expect(try await reader.read { tx in try tx.row("SELECT COUNT(*) AS count FROM item")?["count"] } == committed)
                }
                #expect(try await count(of: path) == committed)
            }
            try await other.close()
        }
    }
}

import Discovery
import Foundation
import ServiceKit
import Storage
import Testing
import Values

@Suite struct IdempotencyTests {
    @Test(arguments: Engine.allCases)
    func `a key that another instance has had meanwhile costs no other request of the batch anything`(engine: Engine) async throws {
        try await engine.withDatabase { database, _ in
            try await database.migrate([Idempotency.migration])
            @Sendable func key(_ name: String) -> IdempotencyKey { IdempotencyKey(principal: "p", key: name, fingerprint: "f") }
            try await database.write { tx in try Idempotency.remember([("by another", key("3"))], in: tx) }
            let coalescer = Coalescer<IdempotencyKey, Int> { keys, tx in
                try Idempotency.remember(keys.map { ("mine", $0) }, in: tx)
                return keys.map { _ in .success(keys.count) }
            }
            let answers = await withTaskGroup(of: (Int, Result<Int, any Error>).self) { group in
                for number in 0..<100 {
                    let key = key("\(number)")
                    group.addTask {
                        do {
                            return (number, .success(try await database.write(key, lane: "a", by: coalescer)))
                        } catch {
                            return (number, .failure(error))
                        }
                    }
                }
                return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            }
            for (number, answer) in answers where number != 3 { _ = try answer.get() }
            let refusal = try #require(answers[3])
            #expect { try refusal.get() } throws: { ($0 as? StorageError).map(Idempotency.isTaken) == true }
            let known = try await database.read { tx in try Idempotency.made(under: (0..<100).map { key("\($0)") }, in: tx).get() }
            #expect(known.count == 100)
            #expect(try known[key("3").identity]?.id(for: key("3")) == "by another")
        }
    }

    @Test(arguments: Engine.allCases)
    func `keys are forgotten when their time is over, and no other`(engine: Engine) async throws {
        try await engine.withDatabase { database, _ in
            try await database.migrate([Idempotency.migration])
            @Sendable func key(_ number: Int) -> IdempotencyKey {
                IdempotencyKey(principal: "p\(number % 2)", key: "\(number)", fingerprint: "f")
            }
            let all = (0..<1_200).map(key)
            // More than one part for each principal are old.
            let old = 0..<1_100
            try await database.write { tx in
                try Idempotency.remember(all.map { ("answer", $0) }, in: tx)
                let before = Instant.now - Idempotency.retention - .seconds(1)
                for number in old {
                    try tx.execute("UPDATE idempotency SET created_at = \(before) WHERE key = \("\(number)")")
                }
            }
            try await Idempotency.forgetOld(in: database)
            let known = try await database.read { tx in try Idempotency.made(under: all, in: tx).get() }
            #expect(Set(known.keys) == Set(all[old.upperBound...].map(\.identity)))
        }
    }

    @Test func `to look for keys PostgreSQL reads no others, however many their principal has`() async throws {
        try await Engine.postgres.withDatabase { database, _ in
            try await database.migrate([Idempotency.migration])
            @Sendable func key(_ number: Int) -> IdempotencyKey { IdempotencyKey(principal: "p", key: "\(number)", fingerprint: "f") }
            try await database.write { tx in try Idempotency.remember((0..<2_000).map { ("made", key($0)) }, in: tx) }
            let (found, read) = try await database.read { tx in
                let found = try Idempotency.made(under: (500..<523).map(key), in: tx).get().count
                let row = try tx.row(
                    """
                    SELECT seq_tup_read + idx_tup_fetch AS n FROM pg_stat_xact_user_tables
                    WHERE relname = 'idempotency' AND schemaname = current_schema()
                    """)!
                return (found, try row["n"] as Int)
            }
            #expect(found == 23)
            #expect(read <= 23)
        }
    }
}

import Contracts
import Storage
import Values

/// Tidies up after holds that nobody finished. Nothing depends on it: what has expired is free without it.
struct Sweeper: Sendable {
    let database: Database

    @Sendable func sweep() async throws {
        while try await sweepSome() {}
    }

    /// Reclaims in a few pools at a time, so that no transaction is long. True if there may be more.
    private func sweepSome() async throws -> Bool {
        try await database.write { tx in
            let pools: [PoolID] = try tx.rows(
                """
                SELECT id FROM pool WHERE held > 0 AND EXISTS
                    (SELECT 1 FROM hold_claim WHERE pool_id = pool.id AND state = 'held' AND expires_at <= \(tx.now))
                ORDER BY id LIMIT 20
                """
            ).map { try $0["id"] }
            guard !pools.isEmpty else { return false }
            let (stock, now) = try InventoryStore.lock(pools, in: tx)
            try InventoryStore.save(stock, at: now, in: tx)
            return true
        }
    }
}

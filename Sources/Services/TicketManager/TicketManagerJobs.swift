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
                SELECT DISTINCT pool_id FROM (SELECT pool_id FROM hold_claim WHERE state = 'held' AND expires_at <= \(tx.now)
                ORDER BY expires_at LIMIT 200) AS due
                """
            ).map { try $0["pool_id"] }
            guard !pools.isEmpty else { return false }
            let (stock, now) = try InventoryStore.lock(pools, in: tx)
            try InventoryStore.save(stock, at: now, in: tx)
            return true
        }
    }
}

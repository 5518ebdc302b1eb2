import Contracts

/// The pools of a batch in memory: what is free, and what a hold takes from it.
struct Stock: Sendable {
    struct Level: Hashable, Sendable {
        var capacity: Int64
        var held: Int64
        var sold: Int64
        var allocated: Int64

        var free: Int64 { capacity - held - sold - allocated }
    }

    /// Why a claim cannot be met.
    enum Shortage: Error, Hashable {
        /// Not even if every hold came back.
        case soldOut(PoolID)
        /// Others hold it, and may give it back.
        case allHeld(PoolID)
    }

    private(set) var levels: [PoolID: Level]

    init(_ levels: [PoolID: Level]) {
        self.levels = levels
    }

    /// Takes all or nothing. Where one pool is sold out, nothing that others hold in another can help, and nobody is told to wait.
    mutating func hold(_ claims: [PoolID: Int64]) throws(Shortage) {
        let claims = claims.sorted { $0.key < $1.key }
        for (pool, quantity) in claims {
            guard let level = levels[pool], level.sold + level.allocated + quantity <= level.capacity else { throw .soldOut(pool) }
        }
        for (pool, quantity) in claims where quantity > levels[pool]!.free { throw .allHeld(pool) }
        for (pool, quantity) in claims { levels[pool]?.held += quantity }
    }

    mutating func release(_ claims: [PoolID: Int64]) {
        for (pool, quantity) in claims { levels[pool]?.held -= quantity }
    }

    /// From held to sold.
    mutating func sell(_ claims: [PoolID: Int64]) {
        for (pool, quantity) in claims {
            levels[pool]?.held -= quantity
            levels[pool]?.sold += quantity
        }
    }

    /// One of each pool, from sold to free.
    mutating func takeBack(_ pools: [PoolID]) {
        for pool in pools { levels[pool]?.sold -= 1 }
    }
}

import Synchronization
package import Values

/// So many requests in so much time, a few of them at once.
package struct RateLimit: Hashable, Sendable {
    package let requests: Int
    package let per: TimeSpan
    /// How many may come at once after a quiet time.
    package let burst: Int

    package init(_ requests: Int, per: TimeSpan, burst: Int? = nil) {
        self.requests = requests
        self.per = per
        self.burst = burst ?? requests
    }

    /// Between two requests at an even pace, in nanoseconds: micros would round.
    fileprivate var interval: Int64 { max(1, per.microseconds * 1_000 / Int64(max(1, requests))) }
}

/// Counts requests by who makes them, with a token bucket for each (as GCRA: what is kept is when the bucket will be full again).
///
/// Its memory is set when it is made: `capacity` buckets of 16 bytes, in sets of eight. Where a set is full, the bucket that is the nearest to
/// being full gives way, which forgives its owner the least. So a million addresses take no more than ten.
package final class RateLimiter: Sendable {
    package enum Decision: Hashable, Sendable {
        /// - remaining: how many more may come at once.
        /// - reset: until the bucket is full.
        case allowed(remaining: Int, reset: TimeSpan)
        /// - retryAfter: until one more is allowed.
        case refused(retryAfter: TimeSpan)
    }

    private struct Bucket {
        /// 0 for none.
        var owner: UInt64 = 0
        /// When it is full, in nanoseconds since the clock's beginning.
        var fullAt: Int64 = 0
    }

    private static let ways = 8
    private static let shards = 64

    private let buckets: [Shard]
    private let setsInShard: Int
    private let seed = UInt64.random(in: 1...UInt64.max)

    private final class Shard: Sendable {
        let buckets: Mutex<[Bucket]>

        init(_ count: Int) {
            buckets = Mutex(Array(repeating: Bucket(), count: count))
        }
    }

    /// - Parameter capacity: how many are told apart at least; rounded up.
    package init(capacity: Int) {
        let perShard = (capacity + RateLimiter.shards * RateLimiter.ways - 1) / (RateLimiter.shards * RateLimiter.ways)
        var sets = 1
        while sets < perShard { sets *= 2 }
        setsInShard = sets
        buckets = (0..<RateLimiter.shards).map { _ in Shard(sets * RateLimiter.ways) }
    }

    /// In bytes, at most.
    package var memory: Int { RateLimiter.shards * setsInShard * RateLimiter.ways * MemoryLayout<Bucket>.stride }

    /// Takes a token of an owner, if there is one.
    /// - Parameters:
    ///   - limit: of one owner always the same.
    ///   - now: nanoseconds of a clock that never goes back.
    package func take(_ owner: some Hashable, _ limit: RateLimit, at now: Int64) -> Decision {
        var hasher = Hasher()
        hasher.combine(seed)
        hasher.combine(owner)
        let hash = UInt64(bitPattern: Int64(hasher.finalize()))
        let key = hash == 0 ? 1 : hash
        let shard = buckets[Int(hash % UInt64(RateLimiter.shards))]
        let set = Int((hash / UInt64(RateLimiter.shards)) % UInt64(setsInShard)) * RateLimiter.ways
        let interval = limit.interval
        let depth = interval * Int64(limit.burst)
        return shard.buckets.withLock { buckets in
            var chosen = set
            for index in set..<set + RateLimiter.ways {
                if buckets[index].owner == key {
                    chosen = index
                    break
                }
                if buckets[index].fullAt < buckets[chosen].fullAt { chosen = index }
            }
            if buckets[chosen].owner != key { buckets[chosen] = Bucket(owner: key, fullAt: now) }
            let fullAt = max(buckets[chosen].fullAt, now) + interval
            guard fullAt - now <= depth else {
                return .refused(retryAfter: TimeSpan(microseconds: (fullAt - depth - now + 999) / 1_000))
            }
            buckets[chosen].fullAt = fullAt
            return .allowed(
                remaining: Int((depth - (fullAt - now)) / interval), reset: TimeSpan(microseconds: (fullAt - now + 999) / 1_000))
        }
    }
}

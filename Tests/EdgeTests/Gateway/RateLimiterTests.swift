import BorderGateway
import Testing
import Values

@Suite struct RateLimiterTests {
    private static let second: Int64 = 1_000_000_000

    @Test(arguments: [(10, 1, 10), (600, 60, 600), (20, 1, 100), (7, 1, 2), (1, 60, 2)])
    func `at ten times the allowed rate exactly the allowed rate passes`(_ requests: Int, _ seconds: Int, _ burst: Int) {
        let limiter = RateLimiter(capacity: 1_000)
        let limit = RateLimit(requests, per: .seconds(Int64(seconds)), burst: burst)
        let step = RateLimiterTests.second * Int64(seconds) / Int64(requests) / 10
        var passed = 0
        var now = RateLimiterTests.second
        let end = now + 60 * RateLimiterTests.second
        while now < end {
            if case .allowed = limiter.take("one", limit, at: now) { passed += 1 }
            now += step
        }
        let allowed = burst + 60 * requests / seconds
        #expect(abs(passed - allowed) <= max(1, allowed / 50), "\(passed) of \(allowed)")
    }

    @Test func `who was refused may come again when they were told to, and not before`() throws {
        let limiter = RateLimiter(capacity: 1_000)
        let limit = RateLimit(3, per: .seconds(60), burst: 2)
        #expect(limiter.take("one", limit, at: 1) == .allowed(remaining: 1, reset: .seconds(20)))
        #expect(limiter.take("one", limit, at: 1) == .allowed(remaining: 0, reset: .seconds(40)))
        guard case .refused(let wait) = limiter.take("one", limit, at: 1) else {
            Issue.record("a third passed")
            return
        }
        #expect(wait == .seconds(20))
        let then = 1 + wait.microseconds * 1_000
        #expect(limiter.take("one", limit, at: then - 1_000_000) != .allowed(remaining: 0, reset: .seconds(40)))
        #expect(limiter.take("one", limit, at: then) == .allowed(remaining: 0, reset: .seconds(40)))
        #expect(limiter.take("other", limit, at: 1) == .allowed(remaining: 1, reset: .seconds(20)))
    }

    @Test func `a million addresses take no more memory than was set, and forgive nobody much`() {
        let limiter = RateLimiter(capacity: 1 << 16)
        #expect(limiter.memory <= 4 << 20)
        let limit = RateLimit(10, per: .seconds(60))
        for _ in 0..<10 { _ = limiter.take("heavy", limit, at: 1) }
        for address in 0..<1_000_000 { _ = limiter.take(address, limit, at: 2) }
        // Whoever has taken most is the last to be forgotten.
        if case .allowed = limiter.take("heavy", limit, at: 3) { Issue.record("the heaviest was forgotten") }
        #expect(limiter.memory <= 4 << 20)
    }

    @Test(arguments: ["20/s", "600/min", "10/h", "20/s burst 100"])
    func `a limit is said in words`(_ text: String) {
        #expect(RateLimit(text) != nil)
    }

    @Test(arguments: ["", "20", "20/d", "0/s", "-1/s", "20/s burst", "20/s burst 0", "20/s 100", "a/s", "20 / s", "20/s burst 1 1"])
    func `what is no limit is none`(_ text: String) {
        #expect(RateLimit(text) == nil)
    }
}

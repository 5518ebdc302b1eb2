import Discovery
import Glibc
import NIOCore
import NIOPosix
import Testing
import Values

/// Services of which no instance answers, and trouble that is not theirs.
@Suite struct CircuitTests {
    private let instances = (1...2).map { Instance("10.0.0.\($0):80")! }
    private let balancer: Balancer
    private let start = Instant(microseconds: 0)

    init() {
        balancer = Balancer(instances, of: ServiceName("shop"))
    }

    private func leaveWithoutAnswer(at now: Instant) {
        for instance in instances { for _ in 0..<Balancer.patience { balancer.ended(instance, .silent, after: .seconds(2), at: now) } }
    }

    @Test func `where no instance answers nobody is asked, and one at a time finds out whether that is over`() throws {
        for _ in 0..<Balancer.patience { balancer.ended(instances[0], .silent, at: start) }
        #expect(balancer.choose(at: start) == instances[1], "one is left")
        leaveWithoutAnswer(at: start)
        #expect(balancer.choose(at: start) == nil && balancer.closedFor(at: start) == .seconds(1))
        #expect(balancer.report(at: start).circuit == .open)
        let later = start + .seconds(1)
        #expect(balancer.choose(at: later - .milliseconds(1)) == nil)
        let first = try #require(balancer.choose(at: later))
        #expect(balancer.report(at: later).circuit == .trying)
        for _ in 0..<10 { #expect(balancer.choose(at: later) == nil && balancer.closedFor(at: later) != nil) }
        balancer.ended(first, .answered, at: later)
        #expect(balancer.choose(at: later) != nil && balancer.choose(at: later) != nil && balancer.closedFor(at: later) == nil)
    }

    @Test func `each try in vain doubles the time until the next, up to ten seconds`() throws {
        leaveWithoutAnswer(at: start)
        var now = start + .seconds(1)
        for time in [TimeSpan.seconds(2), .seconds(4), .seconds(8), .seconds(10), .seconds(10)] {
            let one = try #require(balancer.choose(at: now))
            balancer.ended(one, .silent, at: now)
            #expect(balancer.choose(at: now + time - .milliseconds(1)) == nil, "\(time.seconds) s")
            now = now + time
        }
        #expect(balancer.choose(at: now) != nil)
    }

    @Test func `a try that goes on for long keeps nobody away`() throws {
        leaveWithoutAnswer(at: start)
        let later = start + .seconds(1)
        _ = try #require(balancer.choose(at: later))
        let end = later + Circuit.longest
        #expect(balancer.choose(at: end - .milliseconds(1)) == nil)
        let second = try #require(balancer.choose(at: end))
        #expect(balancer.choose(at: end) == nil, "one at a time still")
        balancer.ended(second, .answered, at: end)
        #expect(balancer.closedFor(at: end) == nil)
    }

    @Test func `a try of which nothing is known lets the next one through at once`() throws {
        leaveWithoutAnswer(at: start)
        let later = start + .seconds(1)
        balancer.ended(try #require(balancer.choose(at: later)), .notAsked, at: later)
        #expect(balancer.choose(at: later) != nil)
    }

    @Test func `an answer that has begun is one, however long it goes on`() throws {
        leaveWithoutAnswer(at: start)
        let later = start + .seconds(1)
        let one = try #require(balancer.choose(at: later))
        let inHand = balancer.report(at: later).instances.map(\.inHand)
        balancer.answerBegan(one, at: later)
        // It is still in hand.
        #expect(balancer.report(at: later).circuit == .closed && balancer.report(at: later).instances.map(\.inHand) == inHand)
        #expect(balancer.choose(at: later) != nil && balancer.choose(at: later) != nil)
    }

    @Test func `an answer that tells of an error is an answer`() {
        for instance in instances { for _ in 0..<50 { balancer.ended(instance, .failed, at: start) } }
        #expect(balancer.choose(at: start) != nil && balancer.report(at: start).circuit == .closed)
    }

    @Test func `where connections are refused at once all are asked, where they are waited for nobody is`() {
        for instance in instances { for _ in 0..<50 { balancer.ended(instance, .unreachable, after: .milliseconds(1), at: start) } }
        #expect(balancer.choose(at: start) != nil)
        for instance in instances {
            for _ in 0..<Balancer.patience { balancer.ended(instance, .unreachable, after: .seconds(1), at: start) }
        }
        #expect(balancer.choose(at: start) == nil)
    }

    @Test func `an instance that is new is asked`() throws {
        leaveWithoutAnswer(at: start)
        let new = try #require(Instance("10.0.0.3:80"))
        balancer.replace(with: instances + [new])
        #expect((0..<50).contains { _ in balancer.choose(at: start) == new })
        // Nor does it matter what those say that are gone.
        balancer.replace(with: [new])
        leaveWithoutAnswer(at: start)
        #expect(balancer.choose(at: start) == new)
    }

    @Test func `what is known of an instance is told`() throws {
        let chosen = try #require(balancer.choose(at: start))
        balancer.ended(chosen, .answered, after: .milliseconds(80), at: start)
        _ = balancer.choose(after: Set(instances).subtracting([chosen]), at: start)
        balancer.ended(chosen, .failed, after: .milliseconds(160), at: start)
        _ = balancer.choose(after: Set(instances).subtracting([chosen]), at: start)
        let known = try #require(balancer.report(at: start).instances.first { $0.instance == chosen })
        #expect(known.inHand == 1 && known.failuresInRow == 1 && known.latency == .milliseconds(90) && known.ejectedUntil == nil)
        balancer.ended(chosen, .unreachable, at: start)
        #expect(balancer.report(at: start).instances.first { $0.instance == chosen }?.ejectedUntil == start + .seconds(1))
        #expect(balancer.report(at: start + .seconds(1)).instances.allSatisfy { $0.ejectedUntil == nil })
    }

    @Test(arguments: [EMFILE, ENFILE, ENOBUFS, EADDRNOTAVAIL])
    func `a lack of descriptors, memory or ports is this process's own`(code: CInt) {
        #expect(LocalTrouble.isCause(of: IOError(errnoCode: code, reason: "connect")))
    }

    @Test func `a refused connection is not`() async throws {
        #expect(!LocalTrouble.isCause(of: IOError(errnoCode: ECONNREFUSED, reason: "connect")))
        await #expect {
            // Where nobody listens, and no other test is given the port.
            _ = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup).connect(host: "127.0.0.1", port: 1).get()
        } throws: {
            !LocalTrouble.isCause(of: $0)
        }
    }
}

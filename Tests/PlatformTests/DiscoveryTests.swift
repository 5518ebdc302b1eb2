import Discovery
import Glibc
import HTTPTypes
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import ServiceKit
import Synchronization
import TestServers
import Testing
import Values

@Suite struct DiscoveryTests {
    private static let service = ServiceName("shop")

    // MARK: Choosing an instance

    private static func instances(_ count: Int) -> [Instance] { (1...count).map { Instance("10.0.0.\($0):80")! } }

    @Test(arguments: ["10.0.0.7:8102", "http://shop:80", "[::1]:9", "a-b.example_1:65535"])
    func `an address of an instance is taken`(text: String) throws {
        #expect(try #require(Instance(text)).address.hasPrefix("http://"))
    }

    @Test(arguments: [
        "", "shop", "shop:", ":80", "shop:0", "shop:65536", "https://shop:80", "sh op:80", "shop/x:80", "a@b:80", "[x]:80", "::1:80",
    ])
    func `what is no address of an instance is refused`(text: String) {
        #expect(Instance(text) == nil)
    }

    @Test func `of two instances the one with less in hand is chosen`() throws {
        let balancer = Balancer(DiscoveryTests.instances(2), of: DiscoveryTests.service)
        let first = try #require(balancer.choose())
        for _ in 0..<10 {
            let other = try #require(balancer.choose())
            #expect(other != first)
            balancer.ended(other, .answered)
        }
    }

    @Test func `an instance that comes back before its requests have ended has them in hand`() throws {
        let instances = DiscoveryTests.instances(2)
        let balancer = Balancer([instances[0]], of: DiscoveryTests.service)
        for _ in 0..<5 { #expect(balancer.choose() == instances[0]) }
        balancer.replace(with: [instances[1]])
        #expect(balancer.count == 1)
        for _ in 0..<3 { #expect(balancer.choose() == instances[1]) }
        balancer.ended(instances[0], .answered)
        balancer.replace(with: instances)
        // Four against three.
        #expect(balancer.choose() == instances[1])
        for _ in 0..<4 { balancer.ended(instances[0], .answered) }
        // None against four: it gets the next four, and no more.
        for _ in 0..<4 { #expect(balancer.choose() == instances[0]) }
        balancer.replace(with: [])
        #expect(balancer.choose() == nil && balancer.count == 0)
    }

    @Test func `a service without instances has none to choose`() {
        #expect(Balancer([], of: DiscoveryTests.service).choose() == nil)
    }

    @Test func `where nothing listens nothing is sent until the time of its ejection is over, which is two seconds at most`() throws {
        let instances = DiscoveryTests.instances(2)
        let balancer = Balancer(instances, of: DiscoveryTests.service)
        var now = Instant(microseconds: 0)
        for time in [TimeSpan.seconds(1), .seconds(2), .seconds(2)] {
            // The other has so much in hand that this one would be chosen.
            while try #require(balancer.choose(at: now)) != instances[0] {}
            balancer.ended(instances[0], .unreachable, at: now)
            for _ in 0..<20 { #expect(balancer.choose(at: now + time - .milliseconds(1)) == instances[1]) }
            now = now + time
        }
        while try #require(balancer.choose(at: now)) != instances[0] {}
        balancer.ended(instances[0], .answered, at: now)
        while try #require(balancer.choose(at: now)) != instances[0] {}
    }

    @Test func `five failures in a row eject an instance, an answer between them does not`() throws {
        let instances = DiscoveryTests.instances(2)
        let balancer = Balancer(instances, of: DiscoveryTests.service)
        let now = Instant(microseconds: 0)
        for _ in 0..<4 { balancer.ended(instances[0], .failed, at: now) }
        balancer.ended(instances[0], .answered, at: now)
        for _ in 0..<4 { balancer.ended(instances[0], .failed, at: now) }
        #expect((0..<50).contains { _ in balancer.choose(at: now) == instances[0] })
        balancer.ended(instances[0], .failed, at: now)
        #expect((0..<50).allSatisfy { _ in balancer.choose(at: now) == instances[1] })
    }

    @Test func `at most half of the instances are ejected for what they answer`() throws {
        let instances = DiscoveryTests.instances(4)
        let balancer = Balancer(instances, of: DiscoveryTests.service)
        let now = Instant(microseconds: 0)
        for instance in instances { for _ in 0..<20 { balancer.ended(instance, .failed, at: now) } }
        #expect(Set((0..<200).compactMap { _ in balancer.choose(at: now) }) == Set(instances[2...]))
    }

    @Test func `where all are ejected all are tried, the one that was tried before last`() throws {
        let instances = DiscoveryTests.instances(2)
        let balancer = Balancer(instances, of: DiscoveryTests.service)
        let now = Instant(microseconds: 0)
        for instance in instances { balancer.ended(instance, .unreachable, at: now) }
        #expect(Set((0..<100).compactMap { _ in balancer.choose(at: now) }) == Set(instances))
        #expect((0..<50).allSatisfy { _ in balancer.choose(after: [instances[0]], at: now) == instances[1] })
    }

    @Test func `a fifth of the requests may be repeated, and a hundred more at once`() {
        let budget = RetryBudget()
        #expect((0..<200).count { _ in budget.take() } == 100)
        for _ in 0..<52 { budget.requestIsSent() }
        #expect((0..<200).count { _ in budget.take() } == 10)
    }

    // MARK: Calls over the network

    @Test func `a call reaches an instance with its body and fields, and its answer comes back`() async throws {
        try await Peer.with({ request in .answer(201, [("X-Said", request.headers.first(name: "X-Say") ?? "")], request.body) }) { peer in
            try await withTransport([peer.instance]) { transport in
                let answer = try await transport.send(
                    PeerRequest(
                        method: .post, target: "/a/b?c=d%20e", headers: [HTTPField.Name("X-Say")!: "hi", .connection: "keep-alive"],
                        body: Array("body".utf8), isRepeatable: false), to: DiscoveryTests.service)
                #expect(answer.status == 201 && answer.body == Array("body".utf8) && answer.headers[HTTPField.Name("X-Said")!] == "hi")
                #expect(answer.headers[.contentLength] == nil && answer.headers[.connection] == nil)
            }
            let seen = try #require(peer.requests.first)
            #expect(seen.uri == "/a/b?c=d%20e" && seen.method == .POST)
            #expect(seen.headers["Content-Length"] == ["4"])
        }
    }

    @Test func `the time that is left travels with the call`() async throws {
        try await Peer.with({ _ in .answer(200, [], []) }) { peer in
            try await withTransport([peer.instance]) { transport in
                try await Deadline.$current.withValue(.now + .seconds(3)) { _ = try await transport.send(.get, to: DiscoveryTests.service) }
                _ = try await transport.send(.get, to: DiscoveryTests.service)
            }
            let left = peer.requests.compactMap { $0.headers.first(name: "X-Time-Left").flatMap { Int($0) } }
            try #require(left.count == 2)
            #expect((1...3_000).contains(left[0]) && (3_001...10_000).contains(left[1]))
        }
    }

    @Test func `who begins an answer and does not end it is waited for until the deadline, and has failed`() async throws {
        try await Peer.with({ _ in .half }) { peer in
            try await withTransport([peer.instance]) { transport in
                let start = ContinuousClock.now
                await #expect {
                    try await Deadline.$current.withValue(.now + .milliseconds(300)) {
                        _ = try await transport.send(.get, to: DiscoveryTests.service)
                    }
                } throws: { ($0 as? Problem)?.status == 503 }
                #expect((.milliseconds(290) ..< .seconds(8)).contains(ContinuousClock.now - start))
            }
        }
    }

    @Test func `what ends in time is not disturbed, what does not is cancelled, and so is what nobody wants any more`() async throws {
        #expect(try await within(.seconds(60)) { 7 } == 7)
        await #expect(throws: TimeIsOver.self) { try await within(.milliseconds(50)) { try await Task.sleep(for: .seconds(600)) } }
        let unwanted = Task { try await within(.seconds(600)) { try await Task.sleep(for: .seconds(600)) } }
        unwanted.cancel()
        await #expect(throws: CancellationError.self) { try await unwanted.value }
    }

    @Test func `who does not answer is waited for until the deadline, and no longer`() async throws {
        try await Peer.with({ _ in .nothing }) { peer in
            try await withTransport([peer.instance]) { transport in
                let start = ContinuousClock.now
                await #expect {
                    try await Deadline.$current.withValue(.now + .milliseconds(300)) {
                        _ = try await transport.send(.get, to: DiscoveryTests.service)
                    }
                } throws: { ($0 as? Problem)?.status == 503 && ($0 as? Problem)?.retryAfter == 1 }
                #expect((.milliseconds(290) ..< .seconds(8)).contains(ContinuousClock.now - start))
            }
        }
    }

    @Test(arguments: [true, false])
    func `where nothing listens another instance is asked, whatever is asked for`(isRepeatable: Bool) async throws {
        try await Peer.with({ _ in .answer(200, [], []) }) { peer in
            try await Peer.withNobody { gone in
                try await withTransport([gone, peer.instance]) { transport in
                    for _ in 0..<20 {
                        let answer = try await transport.send(.post(isRepeatable: isRepeatable), to: DiscoveryTests.service)
                        #expect(answer.status == 200)
                    }
                }
            }
            #expect(peer.requests.count == 20)
        }
    }

    @Test func `what may arrive twice is sent again where the connection breaks, and nothing else is`() async throws {
        try await Peer.with({ _ in .hangUp }) { broken in
            try await Peer.with({ _ in .answer(200, [], []) }) { well in
                try await withTransport([broken.instance, well.instance]) { transport in
                    for _ in 0..<10 {
                        let answer = try await transport.send(.post(isRepeatable: true), to: DiscoveryTests.service)
                        #expect(answer.status == 200)
                    }
                }
                #expect(well.requests.count == 10)
                #expect(broken.requests.count >= 1)
            }
            let before = broken.requests.count
            try await Peer.with({ _ in .hangUp }) { other in
                try await withTransport([broken.instance, other.instance]) { transport in
                    await #expect { try await transport.send(.post(isRepeatable: false), to: DiscoveryTests.service) } throws: {
                        ($0 as? Problem)?.status == 503
                    }
                }
                #expect(broken.requests.count - before + other.requests.count == 1)
            }
        }
    }

    @Test(arguments: [(503, true), (502, true), (504, true), (500, false), (404, false), (409, false)])
    func `an instance that cannot answer now is not the last word, one that refuses is`(status: Int, isAskedElsewhere: Bool) async throws {
        try await Peer.with({ _ in .answer(status, [], []) }) { sick in
            try await Peer.with({ _ in .answer(200, [], []) }) { well in
                try await withTransport([sick.instance, well.instance]) { transport in
                    // So often that both have had their turn as the first.
                    for _ in 0..<40 {
                        let answer = try await transport.send(.get, to: DiscoveryTests.service)
                        #expect(answer.status == 200 || (answer.status == status && !isAskedElsewhere))
                    }
                }
                #expect(!sick.requests.isEmpty)
            }
        }
    }

    @Test func `where another instance could not be as slow in the time that is left, the answer of the first is the last`() async throws {
        let late: @Sendable (Peer.Incoming) -> Peer.Reaction = { _ in .late(.seconds(6), 503) }
        try await Peer.with(late) { one in
            try await Peer.with(late) { other in
                try await withTransport([one.instance, other.instance]) { transport in
                    let status = try await Deadline.$current.withValue(.now + .seconds(10)) {
                        try await transport.send(.get, to: DiscoveryTests.service).status
                    }
                    #expect(status == 503 && one.requests.count + other.requests.count == 1)
                }
            }
        }
    }

    @Test func `before another instance is tried there is a moment by chance`() async throws {
        try await Peer.with({ _ in .answer(503, [], []) }) { sick in
            try await Peer.with({ _ in .answer(200, [], []) }) { well in
                var pauses: [Duration] = []
                while pauses.count < 20 {
                    // It knows nothing of those before.
                    try await withTransport([sick.instance, well.instance]) { transport in
                        let start = ContinuousClock.now
                        let before = sick.requests.count
                        _ = try await transport.send(.get, to: DiscoveryTests.service)
                        if sick.requests.count > before { pauses.append(ContinuousClock.now - start) }
                    }
                }
                // By chance from one to twenty milliseconds: twenty of them are hardly ever less than half of what is to be expected.
                #expect(pauses.reduce(.zero, +) > .milliseconds(105), "\(pauses)")
                #expect(pauses.allSatisfy { $0 >= .milliseconds(1) })
            }
        }
    }

    @Test func `a peer of which nothing is known is not available`() async throws {
        try await withTransport([]) { transport in
            await #expect { try await transport.send(.get, to: ServiceName("unknown")) } throws: { ($0 as? Problem)?.status == 503 }
            await #expect { try await transport.send(.get, to: DiscoveryTests.service) } throws: { ($0 as? Problem)?.status == 503 }
        }
    }

    private func withTransport(_ instances: [Instance], _ body: (NetworkTransport) async throws -> Void) async throws {
        let transport = NetworkTransport(
            [DiscoveryTests.service: instances], logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        do {
            try await body(transport)
            try await transport.close()
        } catch {
            try? await transport.close()
            throw error
        }
    }
}

extension PeerRequest {
    fileprivate static let get = PeerRequest(method: .get, target: "/", headers: [:], body: [], isRepeatable: true)

    fileprivate static func post(isRepeatable: Bool) -> PeerRequest {
        PeerRequest(method: .post, target: "/", headers: [:], body: Array("{}".utf8), isRepeatable: isRepeatable)
    }
}

/// A server that answers, or does not, as a test wants.
private final class Peer: Sendable {
    struct Incoming: Sendable {
        let method: HTTPMethod
        let uri: String
        let headers: HTTPHeaders
        var body: [UInt8]
    }

    enum Reaction: Sendable {
        case answer(Int, [(String, String)], [UInt8])
        /// Nothing but a status, after a while.
        case late(TimeAmount, Int)
        case nothing
        /// A head, and of its body nothing.
        case half
        case hangUp
    }

    let instance: Instance
    private let seen: Seen

    final class Seen: Sendable {
        let requests = Mutex<[Incoming]>([])
    }

    var requests: [Incoming] { seen.requests.withLock { $0 } }

    private init(instance: Instance, seen: Seen) {
        self.instance = instance
        self.seen = seen
    }

    static func with(_ react: @escaping @Sendable (Incoming) -> Reaction, _ body: (Peer) async throws -> Void) async throws {
        let seen = Seen()
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(seen: seen, react: react))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let peer = Peer(instance: Instance("127.0.0.1:\(channel.localAddress!.port!)")!, seen: seen)
        do {
            try await body(peer)
            try await channel.close()
        } catch {
            try? await channel.close()
            throw error
        }
    }

    /// A port that is taken, so that nobody else takes it, and on which nothing listens.
    static func withNobody(_ body: (Instance) async throws -> Void) async throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        try await body(try #require(Instance("127.0.0.1:\(try Ports.bound(descriptor))")))
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let seen: Seen
        private let react: @Sendable (Incoming) -> Reaction
        private var incoming: Incoming?

        init(seen: Seen, react: @escaping @Sendable (Incoming) -> Reaction) {
            self.seen = seen
            self.react = react
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): incoming = Incoming(method: head.method, uri: head.uri, headers: head.headers, body: [])
            case .body(let bytes): incoming?.body += bytes.readableBytesView
            case .end:
                guard let request = incoming else { return }
                seen.requests.withLock { $0.append(request) }
                switch react(request) {
                case .nothing: break
                case .half:
                    let fields: HTTPHeaders = ["Content-Length": "10"]
                    context.writeAndFlush(
                        wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .ok, headers: fields))), promise: nil)
                case .hangUp: context.close(promise: nil)
                case .late(let time, let status):
                    context.eventLoop.assumeIsolated().scheduleTask(in: time) { self.answer(context, status, [], []) }
                case .answer(let status, let headers, let body): answer(context, status, headers, body)
                }
            }
        }

        private func answer(_ context: ChannelHandlerContext, _ status: Int, _ headers: [(String, String)], _ body: [UInt8]) {
            let fields = HTTPHeaders(headers + [("Content-Length", "\(body.count)")])
            let head = HTTPResponseHead(version: .http1_1, status: .init(statusCode: status), headers: fields)
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: body)))), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
    }
}

import Glibc
import NIOCore
import NIOPosix

/// Many clients on one event loop, so that the load takes one core at most and leaves the rest to the server.
struct Load {
    /// How long, of which not measured; without it the scripts end by themselves.
    struct Time {
        let warmUp: Double
        let measured: Double
    }

    private struct TooLong: Error, CustomStringConvertible {
        let description = "the load did not end in time"
    }

    /// How long a load may take beyond its time, or in all if it has none.
    private static let patience = TimeAmount.seconds(300)

    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    /// The same with all at one port.
    func run<S: Script>(_ scripts: [S], port: Int, time: Time? = nil) throws -> LoadResult<S> {
        try run(scripts, ports: [port], time: time)
    }

    /// Connects all, to the ports in turn, starts them together, and waits until the last has ended.
    func run<S: Script>(_ scripts: [S], ports: [Int], time: Time? = nil) throws -> LoadResult<S> {
        let loop = group.next()
        let connecting = scripts.enumerated().map { index, script in
            ClientBootstrap(group: loop)
                .channelOption(.socketOption(.tcp_nodelay), value: 1)
                .connectTimeout(.seconds(5))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(LoadClient(script)) }
                }
                .connect(host: "127.0.0.1", port: ports[index % ports.count])
        }
        let channels = try EventLoopFuture.whenAllSucceed(connecting, on: loop).wait()
        let clientBefore = Load.ownSeconds()
        let begin = NIODeadline.now()
        let window = Window(
            begin: begin, measured: begin + .fraction(time?.warmUp ?? 0),
            end: time.map { begin + .fraction($0.warmUp + $0.measured) })
        let ending = channels.map { channel in
            let ended = loop.makePromise(of: LoadClient<S>.Ended.self)
            channel.pipeline.fireUserInboundEventTriggered(LoadClient<S>.Start(window: window, ended: ended))
            return ended.futureResult
        }
        let alarm = loop.scheduleTask(deadline: (window.end ?? begin) + Load.patience) {
            for channel in channels { channel.pipeline.fireErrorCaught(TooLong()) }
        }
        defer { alarm.cancel() }
        let ended = try EventLoopFuture.whenAllSucceed(ending, on: loop).wait()
        let end = window.end ?? ended.compactMap { $0.timings.last }.max() ?? .now()
        return LoadResult(
            scripts: ended.map { $0.script },
            operations: Latencies(ended.flatMap { $0.timings.operations }),
            refusals: Latencies(ended.flatMap { $0.timings.refusals }),
            seconds: Double((end - window.measured).nanoseconds) / 1e9,
            clientCores: (Load.ownSeconds() - clientBefore) / (Double((NIODeadline.now() - begin).nanoseconds) / 1e9))
    }

    /// One request, on a connection of its own.
    func call(
        _ method: String, _ path: String, port: Int, token: String? = nil, key: String? = nil, fields: String = "", body: String = ""
    ) throws -> Answer {
        let request = Request(method, path, token: token, fields: fields, body: body)
        let result = try run([SingleRequest(request: request, key: key)], port: port)
        guard let answer = result.scripts[0].answer else { throw TooLong() }
        return answer
    }

    /// Ports that nobody listens on.
    func freePorts(_ count: Int) throws -> [Int] {
        let channels = try (0..<count).map { _ in try ServerBootstrap(group: group).bind(host: "127.0.0.1", port: 0).wait() }
        defer { for channel in channels { try? channel.close().wait() } }
        return channels.compactMap { $0.localAddress?.port }
    }

    /// Processor time of this process.
    private static func ownSeconds() -> Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }
}

private struct SingleRequest: Script {
    let request: Request
    let key: String?
    var answer: Answer?

    mutating func next(after answer: Answer?, _ turn: inout Turn) -> Step {
        if let answer {
            self.answer = answer
            return .stop
        }
        request.write(to: &turn.out, key: key)
        return .request
    }
}

struct LoadResult<S: Script> {
    let scripts: [S]
    let operations: Latencies
    /// Of requests that were refused as they had to be.
    let refusals: Latencies
    /// How long was measured.
    let seconds: Double
    /// Of the processor cores, how much this client took.
    let clientCores: Double

    var perSecond: Double { Double(operations.count) / seconds }
}

/// How long things took.
struct Latencies {
    private let sorted: [Int64]

    /// - Parameter nanoseconds: in any order.
    init(_ nanoseconds: [Int64]) {
        sorted = nanoseconds.sorted()
    }

    var count: Int { sorted.count }

    /// The time in milliseconds within which so many of a hundred were done; 0 where there are none.
    func percentile(_ percent: Double) -> Double {
        guard !sorted.isEmpty else { return 0 }
        let rank = Int((percent / 100 * Double(sorted.count)).rounded(.up))
        return Double(sorted[min(max(rank, 1), sorted.count) - 1]) / 1e6
    }
}

extension TimeAmount {
    fileprivate static func fraction(_ seconds: Double) -> TimeAmount {
        .nanoseconds(Int64(seconds * 1e9))
    }
}

import CoreMetrics
import Discovery
import NIOCore
import NIOHTTP1
import ServiceKit
import Values

/// Who gets an answer as it comes. Always called on the request's loop.
protocol AnswerTarget: AnyObject {
    func begin(_ head: HTTPResponseHead)
    func write(_ body: ByteBuffer)
    func flush()
    /// The answer is whole.
    func end()
    /// Both ends speak another protocol from now on.
    func upgrade(_ head: HTTPResponseHead, to connection: UpstreamConnection)
    /// Nothing of the answer was sent yet.
    func refuse(_ refusal: Refusal)
    /// The rest of an answer will never come.
    func abort()
    var canTakeMore: Bool { get }
    /// More of a body that is a stream can be sent.
    func wantMoreOfBody()
}

/// One request on its way to an instance, and its answer on the way back; once more on another instance where that can do no harm.
final class Forwarding: UpstreamListener {
    private static let mostAttempts = 3

    private let head: HTTPRequestHead
    private let namesHost: Bool
    /// Whole; nil where it is a stream.
    private let body: ByteBuffer?
    private let isRepeatable: Bool
    private let deadline: NIODeadline?
    private let peer: NetworkTransport.Peer
    private let pool: UpstreamPool
    private weak var target: (any AnswerTarget)?

    /// Where it was sent without success.
    private var tried: Set<Instance> = []
    /// Where it was sent last.
    private var last: Instance?
    /// The same, until it is known what came of it.
    private var current: Instance?
    private var connection: UpstreamConnection?
    private var status = 0
    private var askedAt = NIODeadline.now()
    /// How long it took until the answer began; nil before.
    private var time: TimeSpan?
    private var isLeaving = false
    private var isOver = false
    private var hasTakenFresh = false
    /// Whether the stream of the request has ended.
    private var isRequestWhole: Bool

    /// - Parameters:
    ///   - head: as the instance shall get it.
    ///   - isRepeatable: whether it may arrive twice.
    ///   - deadline: until when it is waited for the answer; nil for a stream, which may go on.
    init(
        _ head: HTTPRequestHead, body: ByteBuffer?, isRepeatable: Bool, until deadline: NIODeadline?, to peer: NetworkTransport.Peer,
        over pool: UpstreamPool,
        answering target: any AnswerTarget
    ) {
        self.head = head
        namesHost = head.headers.contains(name: "host")
        self.body = body
        self.isRepeatable = isRepeatable && body != nil
        self.deadline = deadline
        self.peer = peer
        self.pool = pool
        self.target = target
        isRequestWhole = body != nil
    }

    func start() {
        peer.budget.requestIsSent()
        attempt()
    }

    private func attempt() {
        guard let instance = peer.balancer.choose(after: tried) else {
            guard let wait = peer.balancer.closedFor() else {
                return fail(.unavailable("The service does not run anywhere.", retryAfter: 5))
            }
            return fail(.unavailable("The service does not answer at the moment.", retryAfter: Int(wait.roundedUpToSeconds)))
        }
        askedAt = .now()
        last = instance
        current = instance
        pool.connection(to: instance, after: peer.balancer.left(instance)) { [self] result in
            switch result {
            case .success(let connection) where isOver: pool.keep(connection)
            case .success(let connection):
                self.connection = connection
                connection.begin(head, host: namesHost ? nil : instance.authority, millisecondsLeft: millisecondsLeft, for: self)
                if let body {
                    connection.endRequest(body)
                } else {
                    connection.flush()
                    target?.wantMoreOfBody()
                }
            case .failure(let error):
                guard !isOver else { return }
                let isOurs = error is UpstreamBusy || LocalTrouble.isCause(of: error)
                settle(isOurs ? .notAsked : .unreachable)
                if takesAnother() { return attemptSoon() }
                fail(.unavailable(isOurs ? "Too much is in hand here at the moment." : "The service does not answer at the moment."))
            }
        }
    }

    /// Once more elsewhere, after a moment.
    private func attemptSoon() {
        pool.after(RetryPause.random()) { [self] in if !isOver { attempt() } }
    }

    private var millisecondsLeft: Int64? {
        deadline.map { max(0, ($0 - .now()).nanoseconds / 1_000_000) }
    }

    private func settle(_ outcome: Balancer.Outcome) {
        guard let instance = current else { return }
        current = nil
        peer.balancer.ended(instance, outcome, after: time ?? .since(askedAt))
    }

    /// Takes one more attempt out of the budget.
    private func takesAnother() -> Bool {
        if let last { tried.insert(last) }
        guard tried.count < min(peer.balancer.count, Forwarding.mostAttempts), hasTimeForAnother, peer.budget.take() else { return false }
        peer.retries.increment()
        return true
    }

    /// Whether another instance could take as long as this one. If not, its answer is better than one that comes too late.
    private var hasTimeForAnother: Bool {
        guard let deadline else { return true }
        let now = NIODeadline.now()
        return deadline - now > now - askedAt
    }

    /// Once more where it was, over a connection that nobody has used before.
    private func takesFreshConnection(to instance: Instance?) -> Bool {
        guard let instance, !hasTakenFresh, peer.budget.take() else { return false }
        hasTakenFresh = true
        pool.closeIdle(of: instance)
        peer.retries.increment()
        return true
    }

    private func fail(_ problem: Problem) {
        isOver = true
        target?.refuse(Refusal(problem, closes: !isRequestWhole))
    }

    // MARK: A body that is a stream

    var canSend: Bool { connection?.isWritable ?? false }

    func send(_ body: ByteBuffer) {
        connection?.send(body)
    }

    func endRequest() {
        isRequestWhole = true
        connection?.endRequest()
    }

    func canTakeMore() {
        if !isRequestWhole { target?.wantMoreOfBody() }
    }

    // MARK: The answer

    func answerBegan(_ head: HTTPResponseHead) {
        status = Int(head.status.code)
        time = .since(askedAt)
        isLeaving = !head.isKeepAlive && head.version != .http1_0
        if (502...504).contains(status), isRepeatable, takesAnother() {
            settle(.failed)
            status = 0
            time = nil
            connection?.close()
            connection = nil
            return attemptSoon()
        }
        if deadline == nil, let current { peer.balancer.answerBegan(current) }
        if status == 101 {
            settle(.answered)
            isOver = true
            guard let connection else { return }
            self.connection = nil
            target?.upgrade(head, to: connection)
            return
        }
        target?.begin(head)
    }

    func answerHas(_ body: ByteBuffer) {
        target?.write(body)
    }

    func answerPauses() {
        target?.flush()
        if status != 0 { connection?.isPaused = !(target?.canTakeMore ?? false) }
    }

    /// The client has room again.
    func goOn() {
        connection?.isPaused = false
    }

    func answerEnded() {
        settle(status >= 500 ? .failed : isLeaving ? .leaving : .answered)
        isOver = true
        if let connection {
            if isRequestWhole { pool.keep(connection) } else { connection.close() }
        }
        connection = nil
        target?.end()
    }

    func answerBroke(_ error: any Error) {
        // None where it is new.
        let reused = connection.flatMap { $0.isReused ? $0.instance : nil }
        // One that was kept open may have been closed just then, which is nobody's fault.
        // One that cannot be read was no silence.
        settle(status != 0 || error is Refusal ? .failed : reused != nil ? .notAsked : .silent)
        connection = nil
        if status == 0 {
            if isRepeatable, takesAnother() || takesFreshConnection(to: reused) {
                return reused == nil ? attemptSoon() : attempt()
            }
            return fail(Problem(502, "bad-gateway", "The service has not answered", detail: "Try again in a moment.", retryAfter: 1))
        }
        isOver = true
        target?.abort()
    }

    /// Nobody waits for it any more.
    /// - Parameter isLate: the instance had all the time that there was.
    func cancel(isLate: Bool) {
        guard !isOver else { return }
        isOver = true
        // One whose answer has begun was not silent.
        let hasBegun = status != 0
        settle(isLate ? (hasBegun ? .failed : .silent) : hasBegun ? .answered : .notAsked)
        connection?.close()
        connection = nil
    }
}

extension TimeSpan {
    fileprivate static func since(_ start: NIODeadline) -> TimeSpan {
        TimeSpan(microseconds: (NIODeadline.now() - start).nanoseconds / 1_000)
    }
}

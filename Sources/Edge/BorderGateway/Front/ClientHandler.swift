import Discovery
import HTTPTypes
import Logging
import NIOCore
import NIOHTTP1
import ServiceKit
import Values

/// One connection of HTTP/1 with its requests one after the other, or one stream of HTTP/2 with its one.
///
/// Nothing is read before somebody wants it: the next part of a body only when the last one has gone on, and the next request only when the
/// last one is answered.
final class ClientHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private enum Phase {
        /// Between two requests.
        case idle
        /// A head is there, and something is asked about it that takes its time.
        case deciding
        case collecting(Admission, ByteBuffer)
        /// A body goes on as it comes.
        case streaming
        /// The request is there, and somebody works on its answer.
        case answering
        /// The answer to a request that was not read completely is sent, and what still comes is thrown away.
        case draining
    }

    /// Asks a connection that nothing happens on to go.
    struct Stop: Sendable {}

    /// How long whatever a refused client still sends is read, so that it can read why.
    private static let drainTime = TimeAmount.seconds(2)

    private let gateway: Gateway
    private let pool: UpstreamPool
    private let peer: IPAddress
    private let scheme: String
    private let isStream: Bool
    private var phase = Phase.idle
    private var context: ChannelHandlerContext?
    private var head: HTTPRequestHead?
    private var admission: Admission?
    private var forwarding: Forwarding?
    /// Whether all of the request was read.
    private var isRequestWhole = true
    private var hasBegunAnswer = false
    /// Tells answers that come late from those of the request in hand.
    private var number: UInt64 = 0
    private var startedAt = NIODeadline.now()
    private var status = 0
    private var isInputClosed = false
    private var isHeadBegun = false

    private var endsAt = NIODeadline.distantFuture
    private var timer: (at: NIODeadline, task: Scheduled<Void>)?

    /// - Parameters:
    ///   - pool: of the loop that this runs on.
    ///   - isStream: whether it is a stream of HTTP/2.
    init(_ gateway: Gateway, pool: UpstreamPool, peer: IPAddress, scheme: String, isStream: Bool) {
        self.gateway = gateway
        self.pool = pool
        self.peer = peer
        self.scheme = scheme
        self.isStream = isStream
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { begin(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        begin(context)
    }

    private func begin(_ context: ChannelHandlerContext) {
        limit(to: gateway.policy.configuration.headTime)
        context.read()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.task.cancel()
        timer = nil
        self.context = nil
    }

    // MARK: What comes in

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch (unwrapInboundIn(data), phase) {
        case (_, .draining): break
        case (.head(let head), .idle): take(head)
        case (.body(let part), .collecting(let admission, var body)):
            guard body.readableBytes + part.readableBytes <= admission.plan.bodyLimit else {
                return refuse(.bodyTooLarge(admission.plan.bodyLimit))
            }
            body.writeImmutableBuffer(part)
            phase = .collecting(admission, body)
            context.read()
        case (.end, .collecting(let admission, let body)):
            isRequestWhole = true
            dispatch(admission, body)
        case (.body(let part), .streaming):
            limitStream()
            forwarding?.send(part)
            if forwarding?.canSend ?? false { context.read() }
        case (.end, .streaming):
            isRequestWhole = true
            phase = .answering
            forwarding?.endRequest()
        // The end of a request that was answered before it.
        case (.body, _): break
        case (.end, _):
            isRequestWhole = true
            if case .idle = phase { context.read() }
        case (.head, _): context.close(promise: nil)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if case .draining = phase { context.read() }
    }

    private func take(_ head: HTTPRequestHead) {
        number &+= 1
        self.head = head
        startedAt = .now()
        isHeadBegun = false
        isRequestWhole = false
        hasBegunAnswer = false
        phase = .deciding
        do {
            let admission = try gateway.admit(head, peer: peer, scheme: scheme)
            self.admission = admission
            limit(to: admission.plan.time)
            if let identity = gateway.knownIdentity(admission) {
                goOn(with: admission, as: identity)
            } else {
                identify(admission)
            }
        } catch {
            refuse(error)
        }
    }

    private func identify(_ admission: Admission) {
        guard let context else { return }
        let authorization = admission.head.headers.first(name: "authorization")
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let number = number
        context.eventLoop.makeFutureWithTask { [gateway] in try await gateway.identify(authorization) }.whenComplete { result in
            let handler = bound.value
            guard handler.number == number, case .deciding = handler.phase else { return }
            switch result {
            case .success(let identity): handler.goOn(with: admission, as: identity)
            case .failure(let error):
                handler.refuse(Refusal(error as? Problem ?? .unavailable("Who you are cannot be found out at the moment."), closes: false))
            }
        }
    }

    private func goOn(with admission: Admission, as identity: Identity) {
        guard let context, let head else { return }
        var admission = admission
        do {
            try gateway.admit(identity, to: &admission)
        } catch {
            return refuse(error)
        }
        let plan = admission.plan
        if let length = head.headers.first(name: "content-length").flatMap({ Int($0) }), length > plan.bodyLimit {
            return refuse(.bodyTooLarge(plan.bodyLimit))
        }
        if !plan.isStream, head.hasBody, let type = head.headers.first(name: "content-type"), !type.lowercased().contains("json") {
            return refuse(.noJSON)
        }
        if head.headers.contains(name: "expect") {
            context.writeAndFlush(wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .continue))), promise: nil)
        }
        if plan.isStream {
            phase = .streaming
            forward(admission, body: nil)
        } else {
            phase = .collecting(admission, ByteBuffer())
            if head.hasBody { limit(to: gateway.policy.configuration.bodyTime) }
            context.read()
        }
    }

    // MARK: Who answers

    private func dispatch(_ admission: Admission, _ body: ByteBuffer) {
        phase = .answering
        limit(to: admission.plan.time)
        guard let respond = gateway.responder(for: admission.plan) else { return forward(admission, body: body) }
        guard let context else { return }
        let request = admission.incoming(body, headers: admission.fields())
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let number = number
        context.eventLoop.makeFutureWithTask { await respond(request) }.whenSuccess { reply in
            let handler = bound.value
            if handler.number == number, !handler.hasBegunAnswer { handler.send(reply) }
        }
    }

    private func forward(_ admission: Admission, body: ByteBuffer?) {
        guard let peer = gateway.peer(for: admission.plan) else {
            return refuse(Refusal(.unavailable("The service does not run here.", retryAfter: 5), closes: false))
        }
        var fields = admission.fields()
        if let body {
            if body.readableBytes > 0 || admission.head.headers.contains(name: "content-length") {
                fields.add(name: "content-length", value: "\(body.readableBytes)")
            }
            fields.replaceOrAdd(name: "x-time-left", value: "\(admission.plan.time.microseconds / 1_000)")
        } else if let length = admission.head.headers.first(name: "content-length") {
            fields.add(name: "content-length", value: length)
        } else if admission.head.hasBody {
            fields.add(name: "transfer-encoding", value: "chunked")
        }
        if admission.wantsUpgrade, !isStream {
            fields.add(name: "connection", value: "upgrade")
            fields.add(name: "upgrade", value: "websocket")
        }
        let isRepeatable =
            admission.plan.isRepeatable && (admission.head.method != .PUT || !admission.head.headers.contains(name: "if-match"))
        let head = HTTPRequestHead(
            version: .http1_1, method: admission.head.method,
            uri: admission.plan.rule?.rewritten(admission.target) ?? admission.target.text,
            headers: admission.plan.rule?.rewritten(fields) ?? fields)
        let forwarding = Forwarding(head, body: body, isRepeatable: isRepeatable, to: peer, over: pool, answering: self)
        self.forwarding = forwarding
        forwarding.start()
    }

    private func send(_ reply: Reply) {
        guard let context, let head else { return }
        var fields = HTTPHeaders()
        fields.reserveCapacity(reply.headers.count + 4)
        for field in reply.headers { fields.add(name: field.name.canonicalName, value: field.value) }
        if head.method != .HEAD { fields.replaceOrAdd(name: "content-length", value: "\(reply.body.count)") }
        fields.add(name: "date", value: HTTPDate.now)
        begin(HTTPResponseHead(version: .http1_1, status: .init(statusCode: reply.status.code), headers: fields))
        if !reply.body.isEmpty {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: reply.body)))), promise: nil)
        }
        end()
    }
}

// MARK: - The answer

extension ClientHandler: AnswerTarget {
    var canTakeMore: Bool { context?.channel.isWritable ?? false }

    func begin(_ head: HTTPResponseHead) {
        guard let context, let request = self.head else { return }
        hasBegunAnswer = true
        status = Int(head.status.code)
        var answer = HTTPResponseHead(version: .http1_1, status: head.status, headers: HeadPolicy.returned(head.headers))
        if let admission {
            answer.headers.replaceOrAdd(name: "x-request-id", value: admission.requestID)
            for (name, value) in admission.told { answer.headers.add(name: name, value: value) }
        }
        if !isStream {
            if !staysOpen {
                answer.headers.replaceOrAdd(name: "connection", value: "close")
            } else if request.version == .http1_0 {
                answer.headers.replaceOrAdd(name: "connection", value: "keep-alive")
            }
        }
        context.write(wrapOutboundOut(.head(answer)), promise: nil)
    }

    func upgrade(_ head: HTTPResponseHead, to connection: UpstreamConnection) {
        guard let context, admission?.wantsUpgrade ?? false else {
            connection.close()
            return refuse(
                Refusal(Problem(502, "bad-gateway", "The service has changed the protocol", detail: "Nobody asked it to."), closes: true))
        }
        var answer = HTTPResponseHead(version: .http1_1, status: head.status, headers: HeadPolicy.returned(head.headers))
        answer.headers.replaceOrAdd(name: "connection", value: "upgrade")
        if let protocols = head.headers.first(name: "upgrade") { answer.headers.replaceOrAdd(name: "upgrade", value: protocols) }
        context.writeAndFlush(wrapOutboundOut(.head(answer)), promise: nil)
        timer?.task.cancel()
        timer = nil
        forwarding = nil
        let (near, far) = Tunnel.pair()
        let pipeline = context.pipeline.syncOperations
        do {
            let parts = try pipeline.handler(type: RequestParts.self)
            let rest = parts.takeRest()
            try pipeline.addHandler(near)
            connection.become(far)
            for handler in [context, try pipeline.context(handlerType: HTTPResponseEncoder.self), try pipeline.context(handler: parts)] {
                pipeline.removeHandler(context: handler, promise: nil)
            }
            near.begin(with: rest)
            far.begin(with: nil)
        } catch {
            context.close(promise: nil)
        }
    }

    func write(_ body: ByteBuffer) {
        context?.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
    }

    func flush() {
        if admission?.plan.isStream ?? false { limitStream() }
        context?.flush()
    }

    func wantMoreOfBody() {
        context?.read()
    }

    /// Whether another request may follow this one.
    private var staysOpen: Bool {
        guard let head, isRequestWhole || !head.hasBody, !isInputClosed else { return false }
        return head.isKeepAlive && !gateway.isStopping
    }

    func end() {
        guard let context else { return }
        forwarding = nil
        let staysOpen = staysOpen
        let sent = context.eventLoop.makePromise(of: Void.self)
        // The encoder would end a body that the answer to HEAD does not have.
        if isStream || head?.method != .HEAD {
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: sent)
        } else {
            context.flush()
            sent.succeed()
        }
        count()
        admission = nil
        if staysOpen, !isStream {
            phase = .idle
            head = nil
            hasBegunAnswer = false
            limit(to: gateway.policy.configuration.idleTime)
            // The end of a request without a body may not be read yet.
            context.read()
        } else if isRequestWhole || isStream {
            phase = .draining
            limit(to: gateway.policy.configuration.idleTime)
            let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
            sent.futureResult.whenComplete { _ in bound.value.close(promise: nil) }
        } else {
            drain(context)
        }
    }

    /// Once for each request that was answered.
    private func count() {
        let time = NIODeadline.now() - startedAt
        (admission?.plan.meters ?? .none).count(status, nanoseconds: time.nanoseconds)
        guard gateway.policy.configuration.hasAccessLog, let head else { return }
        gateway.logger.info(
            "request",
            metadata: [
                "client": "\(admission?.client ?? peer)", "method": "\(head.method)", "path": "\(admission?.target.path ?? "")",
                "status": "\(status)", "milliseconds": "\(Double(time.nanoseconds / 1_000) / 1_000)",
                "route": "\(admission?.plan.name ?? "")", "requestId": "\(admission?.requestID ?? "")",
            ])
    }

    func refuse(_ refusal: Refusal) {
        forwarding?.cancel(isLate: false)
        forwarding = nil
        guard !hasBegunAnswer else { return abort() }
        let requestID = admission?.requestID ?? RequestID.of(head?.headers.first(name: "x-request-id"))
        var reply = Reply.problem(refusal.problem, requestID: requestID)
        for field in refusal.headers { reply.headers[field.name] = field.value }
        reply.headers[.requestID] = requestID
        let isHead = head?.method == .HEAD
        if isHead {
            reply.headers[.contentLength] = "\(reply.body.count)"
            reply.body = []
        }
        if head == nil || refusal.closes { head = (head ?? .unreadable).closing }
        send(reply)
    }

    func abort() {
        forwarding?.cancel(isLate: false)
        forwarding = nil
        context?.close(promise: nil)
    }

    /// The other end may still be sending: closed at once, it would not read why it was refused.
    private func drain(_ context: ChannelHandlerContext) {
        phase = .draining
        limit(to: .milliseconds(ClientHandler.drainTime.nanoseconds / 1_000_000))
        context.close(mode: .output, promise: nil)
        context.read()
    }
}

// MARK: - Time, and trouble

extension ClientHandler {
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is Stop:
            if case .idle = phase, !isHeadBegun { context.close(promise: nil) }
        case is RequestParts.HeadBegun:
            isHeadBegun = true
            limit(to: gateway.policy.configuration.headTime)
        case ChannelEvent.inputClosed:
            isInputClosed = true
            switch phase {
            case .answering, .deciding: break
            case .idle, .collecting, .streaming, .draining: context.close(promise: nil)
            }
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { forwarding?.goOn() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        forwarding?.cancel(isLate: false)
        forwarding = nil
        number &+= 1
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let refusal = error as? Refusal else { return context.close(promise: nil) }
        isRequestWhole = false
        refuse(refusal)
    }

    /// The request, or what is waited for between two, must come to its end within this time.
    private func limit(to time: TimeSpan) {
        guard let context else { return }
        endsAt = .now() + .microseconds(time.microseconds)
        if let timer {
            // One that is due earlier looks at the time anew.
            guard timer.at > endsAt else { return }
            timer.task.cancel()
        }
        schedule(context)
    }

    private func limitStream() {
        if let admission { limit(to: admission.plan.time) }
    }

    private func schedule(_ context: ChannelHandlerContext) {
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        timer = (endsAt, context.eventLoop.scheduleTask(deadline: endsAt) { bound.value.timeHasCome() })
    }

    private func timeHasCome() {
        guard let context else { return }
        timer = nil
        guard endsAt <= .now() else { return schedule(context) }
        switch phase {
        case .idle where isHeadBegun: refuse(.tooSlow)
        case .idle, .draining: context.close(promise: nil)
        case .collecting: refuse(.tooSlow)
        case .deciding, .streaming, .answering:
            let isLate = forwarding != nil
            forwarding?.cancel(isLate: isLate)
            forwarding = nil
            refuse(
                Refusal(
                    Problem(
                        504, "gateway-timeout", "The service took too long",
                        detail: "Whether it was done is not known. Repeat the request with the same Idempotency-Key.", retryAfter: 1),
                    closes: true))
        }
    }
}

extension HTTPRequestHead {
    /// Stands for one that could not be read.
    fileprivate static let unreadable = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/")

    /// The same, after which nothing follows.
    fileprivate var closing: HTTPRequestHead {
        var head = self
        head.headers.replaceOrAdd(name: "connection", value: "close")
        return head
    }

    /// Whether a body follows.
    fileprivate var hasBody: Bool {
        if headers.contains(name: "transfer-encoding") { return true }
        return headers.first(name: "content-length").map { $0 != "0" } ?? false
    }
}

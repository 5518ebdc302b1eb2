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

    enum Phase {
        /// Between two requests.
        case idle
        /// A head is there, and something is asked about it that takes its time.
        case deciding
        /// The firewall has not said yet whether it may go on.
        case judging
        case collecting(Admission)
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
    static let drainTime = TimeSpan.seconds(2)

    let gateway: Gateway
    /// As the settings were when the request came.
    var policy: Gateway.Policy
    let pool: UpstreamPool
    let peer: IPAddress
    let scheme: String
    let isStream: Bool
    var phase = Phase.idle
    var context: ChannelHandlerContext?
    var head: HTTPRequestHead?
    var admission: Admission?
    var forwarding: Forwarding?
    /// Whether all of the request was read.
    var isRequestWhole = true
    var hasBegunAnswer = false
    /// Tells answers that come late from those of the request in hand.
    var number: UInt64 = 0
    var startedAt = NIODeadline.now()
    var status = 0
    var isInputClosed = false
    var isHeadBegun = false
    /// Of a body that is collected, what has come; of one that is a stream, nothing.
    var body = ByteBuffer()
    /// Of a body that is a stream, how much has come.
    var streamed = 0
    /// Whether the answer said that the connection ends with it.
    var saidClose = false
    /// The next request is read when the answers to those before are sent.
    var owesRead = false

    var endsAt = NIODeadline.distantFuture
    var timer: (at: NIODeadline, task: Scheduled<Void>)?

    /// - Parameters:
    ///   - pool: of the loop that this runs on.
    ///   - isStream: whether it is a stream of HTTP/2.
    init(_ gateway: Gateway, pool: UpstreamPool, peer: IPAddress, scheme: String, isStream: Bool) {
        self.gateway = gateway
        policy = gateway.policy
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
        // Clients open connections before they need them; a head has its own time, from its first byte.
        limit(to: policy.configuration.idleTime)
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
        case (.end, .draining) where isStream: context.close(promise: nil)
        case (_, .draining): context.read()
        case (.head(let head), .idle): take(head)
        case (.body(let part), .collecting(let admission)):
            guard body.readableBytes + part.readableBytes <= admission.plan.bodyLimit else {
                return refuse(.bodyTooLarge(admission.plan.bodyLimit))
            }
            body.writeImmutableBuffer(part)
            context.read()
        case (.end, .collecting(let admission)):
            isRequestWhole = true
            pass(admission, body) { $0.dispatch(admission, $0.body) }
        case (.body(let part), .streaming): stream(part)
        case (.end, .streaming):
            isRequestWhole = true
            phase = .answering
            forwarding?.endRequest()
        // The end of a request that was answered before it.
        case (.body, _): if case .idle = phase { context.read() }
        case (.end, _):
            isRequestWhole = true
            if case .idle = phase { context.read() }
        case (.head, _): context.close(promise: nil)
        }
    }

    private func stream(_ part: ByteBuffer) {
        guard let admission, let head, let forwarding else { return }
        streamed += part.readableBytes
        guard streamed <= admission.plan.bodyLimit else { return refuse(.bodyTooLarge(admission.plan.bodyLimit)) }
        guard head.hasBody || isStream && head.mayHaveUnsaidBody else {
            return refuse(.malformed("This method has no body whose length is not said."))
        }
        limitStream()
        forwarding.send(part)
        if forwarding.canSend { context?.read() }
    }

    private func take(_ head: HTTPRequestHead) {
        number &+= 1
        policy = gateway.policy
        self.head = head
        startedAt = .now()
        isHeadBegun = false
        body = ByteBuffer()
        streamed = 0
        isRequestWhole = false
        hasBegunAnswer = false
        phase = .deciding
        do {
            let admission = try gateway.admit(head, by: policy, peer: peer, scheme: scheme)
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
        let admission = admission.handedOn(as: identity)
        self.admission = admission
        do {
            try gateway.admit(identity, by: policy)
        } catch {
            return refuse(error)
        }
        let plan = admission.plan
        if let length = head.headers.first(name: "content-length").flatMap({ Int($0) }), length > plan.bodyLimit {
            return refuse(.bodyTooLarge(plan.bodyLimit))
        }
        if !plan.isStream, head.hasBody, let type = head.headers.first(name: "content-type"), !ClientHandler.isJSON(type) {
            return refuse(.noJSON)
        }
        // HTTP/1.0 does not know it.
        if head.headers.contains(name: "expect"), head.version != .http1_0, head.hasBody {
            context.writeAndFlush(wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .continue))), promise: nil)
        }
        if plan.isStream, gateway.responder(for: plan) == nil {
            pass(admission, nil) { handler in
                handler.phase = .streaming
                handler.limit(to: admission.plan.time)
                handler.forward(admission, body: nil)
            }
        } else {
            phase = .collecting(admission)
            if head.hasBody { limit(to: policy.configuration.bodyTime) }
            context.read()
        }
    }

    private static func isJSON(_ type: String) -> Bool {
        type == "application/json" || type.lowercased().contains("json")
    }

    // MARK: Who answers

    private func dispatch(_ admission: Admission, _ body: ByteBuffer) {
        phase = .answering
        limit(to: admission.plan.time)
        guard let respond = gateway.responder(for: admission.plan) else { return forward(admission, body: body) }
        guard let context else { return }
        let request = admission.incoming(body)
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
        } else if let length = admission.head.headers.first(name: "content-length") {
            fields.add(name: "content-length", value: length)
        } else if admission.head.hasBody || isStream && admission.head.mayHaveUnsaidBody {
            fields.add(name: "transfer-encoding", value: "chunked")
        }
        if admission.wantsUpgrade, !isStream {
            fields.add(name: "connection", value: "upgrade")
            fields.add(name: "upgrade", value: "websocket")
        }
        let isRepeatable =
            admission.plan.isRepeatable && (admission.head.method != .PUT || !admission.head.headers.contains(name: "if-match"))
        let head = HTTPRequestHead(
            version: .http1_1, method: admission.head.method, uri: admission.forwardedTarget, headers: fields)
        let forwarding = Forwarding(
            head, body: body, isRepeatable: isRepeatable, until: body == nil ? nil : endsAt, to: peer, over: pool, answering: self)
        self.forwarding = forwarding
        forwarding.start()
    }

    func send(_ reply: Reply) {
        guard let context, let head else { return }
        let client = (admission?.client ?? peer).household
        guard gateway.unsent.hasRoom(for: reply.body.count, to: client) else {
            // Whoever asks for much and takes nothing does not fill the memory.
            return send(
                .problem(.unavailable("Too many answers wait to be taken.", retryAfter: 5), requestID: admission?.requestID ?? "none"))
        }
        var fields = HTTPHeaders()
        fields.reserveCapacity(reply.headers.count + 4)
        for field in reply.headers { fields.add(name: field.name.canonicalName, value: field.value) }
        if head.method != .HEAD { fields.replaceOrAdd(name: "content-length", value: "\(reply.body.count)") }
        fields.add(name: "date", value: HTTPDate.now)
        begin(HTTPResponseHead(version: .http1_1, status: .init(statusCode: reply.status.code), headers: fields))
        if !reply.body.isEmpty {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: reply.body)))), promise: nil)
        }
        end(whenSent: gateway.unsent.promise(for: reply.body.count, to: client, on: context.eventLoop))
    }
}

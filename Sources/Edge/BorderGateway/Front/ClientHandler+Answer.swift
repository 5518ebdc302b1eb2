import Discovery
import HTTPTypes
import Logging
import NIOCore
import NIOHTTP1
import ServiceKit
import Values

extension ClientHandler: AnswerTarget {
    var canTakeMore: Bool { context?.channel.isWritable ?? false }

    func begin(_ head: HTTPResponseHead) {
        guard let context, let request = self.head else { return }
        hasBegunAnswer = true
        status = Int(head.status.code)
        var answer = HTTPResponseHead(version: .http1_1, status: head.status, headers: HeadPolicy.returned(head.headers))
        saidClose = !staysOpen
        if request.version == .http1_0, !answer.headers.contains(name: "content-length") {
            // It does not know chunks: the end of the connection is the end of the body.
            answer.version = .http1_0
            saidClose = true
        }
        if let admission {
            if answer.headers.first(name: "x-request-id") != admission.requestID {
                answer.headers.replaceOrAdd(name: "x-request-id", value: admission.requestID)
            }
            for (name, value) in admission.told { answer.headers.add(name: name, value: value) }
        }
        if !isStream {
            if saidClose {
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
        status = Int(head.status.code)
        count()
        var answer = HTTPResponseHead(version: .http1_1, status: head.status, headers: HeadPolicy.returned(head.headers))
        answer.headers.replaceOrAdd(name: "connection", value: "upgrade")
        if let protocols = head.headers.first(name: "upgrade") { answer.headers.replaceOrAdd(name: "upgrade", value: protocols) }
        context.writeAndFlush(wrapOutboundOut(.head(answer)), promise: nil)
        timer?.task.cancel()
        timer = nil
        forwarding = nil
        let (near, far) = Tunnel.pair(idleLimit: policy.configuration.tunnelIdleTime)
        let pipeline = context.pipeline.syncOperations
        do {
            let parts = try pipeline.handler(type: ConnectionParts.self)
            let rest = parts.buffer
            try pipeline.addHandler(near)
            let farRest = try connection.become(far)
            for handler in [context, try pipeline.context(handler: parts)] { pipeline.removeHandler(context: handler, promise: nil) }
            near.begin(with: rest)
            far.begin(with: farRest)
        } catch {
            connection.close()
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
        end(whenSent: nil)
    }

    /// - Parameter whenSent: is told when all of the answer is sent, or never will be.
    func end(whenSent told: EventLoopPromise<Void>?) {
        guard let context else {
            told?.succeed()
            return
        }
        forwarding = nil
        // To be closed once all of it is sent.
        let closes = (saidClose || isStream) && isRequestWhole
        let sent = closes ? context.eventLoop.makePromise(of: Void.self) : nil
        if let sent, let told { sent.futureResult.cascade(to: told) }
        let promise = sent ?? told
        // An encoder would end a body that the answer to HEAD does not have.
        if isStream || head?.method != .HEAD {
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: promise)
        } else {
            context.flush()
            promise?.succeed()
        }
        count()
        admission = nil
        body = ByteBuffer()
        if !saidClose, !isStream {
            phase = .idle
            head = nil
            hasBegunAnswer = false
            limit(to: policy.configuration.idleTime)
            // Whoever sends requests and takes no answers is not read from.
            owesRead = !context.channel.isWritable
            if !owesRead { context.read() }
        } else if let sent {
            phase = .draining
            limit(to: policy.configuration.idleTime)
            let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
            sent.futureResult.whenComplete { _ in bound.value.close(promise: nil) }
        } else {
            drain(context)
        }
    }

    /// Once for each request that was answered.
    func count() {
        let time = NIODeadline.now() - startedAt
        (admission?.plan.meters ?? .none).count(status, nanoseconds: time.nanoseconds)
        guard policy.configuration.hasAccessLog, let head else { return }
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
        limit(to: ClientHandler.drainTime)
        if !isStream { context.close(mode: .output, promise: nil) }
        context.read()
    }
}

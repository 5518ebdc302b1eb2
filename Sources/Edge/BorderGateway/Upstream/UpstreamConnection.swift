import Discovery
import NIOCore
import NIOHTTP1
import Values

/// What is told of an answer as it comes. Always called on the connection's loop.
protocol UpstreamListener: AnyObject {
    func answerBegan(_ head: HTTPResponseHead)
    func answerHas(_ body: ByteBuffer)
    /// Nothing more can be read at once: a good moment to send on what has come.
    func answerPauses()
    func answerEnded()
    /// The connection is lost, and the answer not whole.
    func answerBroke(_ error: any Error)
    /// More of the request can be sent.
    func canTakeMore()
}

/// One connection to an instance, with one request at a time.
final class UpstreamConnection: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    struct Lost: Error {}

    let instance: Instance
    private(set) var idleSince = Instant.now
    /// Whether another request may follow.
    private(set) var isUsable = true
    private var context: ChannelHandlerContext?
    private weak var listener: (any UpstreamListener)?
    private var isRequestSent = false
    private var isAnswerWhole = false
    private var upgrade: HTTPResponseHead?
    /// Whether it has carried a request before this one.
    private(set) var isReused = false

    init(_ instance: Instance) {
        self.instance = instance
    }

    var isWritable: Bool { context?.channel.isWritable ?? false }

    func begin(_ head: HTTPRequestHead, for listener: any UpstreamListener) {
        self.listener = listener
        isRequestSent = false
        isAnswerWhole = false
        context?.write(wrapOutboundOut(.head(head)), promise: nil)
    }

    func send(_ body: ByteBuffer) {
        context?.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
    }

    func endRequest(_ body: ByteBuffer? = nil) {
        if let body, body.readableBytes > 0 { context?.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil) }
        context?.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        isRequestSent = true
    }

    /// Asks for more of the answer.
    func read() {
        context?.read()
    }

    /// Nobody waits for it any more, until the next request.
    func rest() {
        listener = nil
        isReused = true
        idleSince = .now
        // So that it is noticed when the other end closes.
        context?.read()
    }

    /// Gives up the connection after `101 Switching Protocols`: from now on it carries bytes to and from the tunnel.
    /// - Returns: when it does; what came before is with the tunnel by then.
    func become(_ tunnel: Tunnel) -> EventLoopFuture<Void> {
        guard let context else { preconditionFailure("a connection that answers is in its pipeline") }
        listener = nil
        let pipeline = context.pipeline.syncOperations
        let isReady = context.eventLoop.makePromise(of: Void.self)
        do {
            try pipeline.addHandler(tunnel)
            // This one first: what the decoder has left goes to the next.
            pipeline.removeHandler(context: context, promise: nil)
            pipeline.removeHandler(context: try pipeline.context(handlerType: HTTPRequestEncoder.self), promise: nil)
            let decoder = try pipeline.context(handlerType: ByteToMessageHandler<HTTPResponseDecoder>.self)
            pipeline.removeHandler(context: decoder, promise: isReady)
        } catch {
            context.close(promise: nil)
            isReady.fail(error)
        }
        return isReady.futureResult
    }

    func close() {
        isUsable = false
        listener = nil
        context?.close(promise: nil)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let listener else {
            // An answer that nobody has asked for.
            isUsable = false
            return context.close(promise: nil)
        }
        switch unwrapInboundIn(data) {
        case .head(let head):
            if !head.isKeepAlive { isUsable = false }
            // The decoder has a last word to say before others may take its place.
            if head.status == .switchingProtocols { upgrade = head } else { listener.answerBegan(head) }
        case .body(let body): listener.answerHas(body)
        case .end:
            isAnswerWhole = true
            if let upgrade {
                isUsable = false
                return listener.answerBegan(upgrade)
            }
            // What answers before it was asked completely would take the rest for the next request.
            if !isRequestSent { isUsable = false }
            self.listener = nil
            listener.answerEnded()
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        listener?.answerPauses()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { listener?.canTakeMore() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        isUsable = false
        fail(Lost())
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        isUsable = false
        fail(error)
        context.close(promise: nil)
    }

    private func fail(_ error: any Error) {
        guard !isAnswerWhole else { return }
        let listener = listener
        self.listener = nil
        listener?.answerBroke(error)
    }
}

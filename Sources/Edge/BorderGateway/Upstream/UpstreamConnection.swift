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
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    struct Lost: Error {}

    private static let endOfChunk = ByteBuffer(string: "\r\n")
    private static let lastChunk = ByteBuffer(string: "0\r\n\r\n")

    let instance: Instance
    private(set) var idleSince = Instant.now
    /// Whether another request may follow.
    private(set) var isUsable = true
    /// Whether something came behind an answer that nobody has asked for.
    private(set) var saysTooMuch = false
    private var context: ChannelHandlerContext?
    private weak var listener: (any UpstreamListener)?
    private var isRequestSent = false
    private var isAnswerWhole = false
    /// Whether the body of the request goes in chunks.
    private var isChunked = false
    private var decoder = AnswerDecoder()
    /// What has come and was not read yet.
    private var buffer = ByteBuffer()
    /// Whether it has carried a request before this one.
    private(set) var isReused = false

    init(_ instance: Instance) {
        self.instance = instance
    }

    var isWritable: Bool { context?.channel.isWritable ?? false }

    /// Sends the head. Its fields say how the body is delimited.
    /// - Parameters:
    ///   - host: in the field of this name; nil where the head has it.
    ///   - millisecondsLeft: until whoever asks waits no more; nil where it waits for as long as it takes.
    func begin(_ head: HTTPRequestHead, host: String?, millisecondsLeft: Int64?, for listener: any UpstreamListener) {
        self.listener = listener
        isRequestSent = false
        isAnswerWhole = false
        isChunked = head.headers.contains(name: "transfer-encoding")
        decoder.begin(to: head.method)
        guard let context else { return }
        var bytes = context.channel.allocator.buffer(capacity: 1_024)
        bytes.writeString(head.method.rawValue)
        bytes.writeStaticString(" ")
        bytes.writeString(head.uri)
        bytes.writeStaticString(" HTTP/1.1\r\n")
        if let host {
            bytes.writeStaticString("host: ")
            bytes.writeString(host)
            bytes.writeStaticString("\r\n")
        }
        if let millisecondsLeft {
            bytes.writeStaticString("x-time-left: ")
            bytes.writeString(String(millisecondsLeft))
            bytes.writeStaticString("\r\n")
        }
        bytes.write(head.headers)
        bytes.writeStaticString("\r\n")
        context.write(wrapOutboundOut(bytes), promise: nil)
    }

    func send(_ body: ByteBuffer) {
        guard let context else { return }
        guard isChunked else { return context.writeAndFlush(wrapOutboundOut(body), promise: nil) }
        // One of no length would be the last.
        guard body.readableBytes > 0 else { return }
        context.write(wrapOutboundOut(ByteBuffer(string: String(body.readableBytes, radix: 16) + "\r\n")), promise: nil)
        context.write(wrapOutboundOut(body), promise: nil)
        context.writeAndFlush(wrapOutboundOut(UpstreamConnection.endOfChunk), promise: nil)
    }

    /// Sends what was begun, where the rest takes its time.
    func flush() {
        context?.flush()
    }

    func endRequest(_ body: ByteBuffer? = nil) {
        if let body, body.readableBytes > 0 { context?.write(wrapOutboundOut(body), promise: nil) }
        if isChunked { context?.write(wrapOutboundOut(UpstreamConnection.lastChunk), promise: nil) }
        context?.flush()
        isRequestSent = true
    }

    /// Whether no more of the answer is read for now.
    var isPaused = false {
        didSet {
            if oldValue, !isPaused { context?.read() }
        }
    }

    /// Nobody waits for it any more, until the next request.
    func rest() {
        listener = nil
        isReused = true
        idleSince = .now
        isPaused = false
    }

    /// Gives up the connection after `101 Switching Protocols`: from now on it carries bytes to and from the tunnel.
    /// - Returns: what has come after the answer.
    func become(_ tunnel: Tunnel) throws -> ByteBuffer {
        guard let context else { preconditionFailure("a connection that answers is in its pipeline") }
        listener = nil
        // From now on the tunnel asks for what it can take.
        isPaused = true
        let pipeline = context.pipeline.syncOperations
        try pipeline.addHandler(tunnel)
        pipeline.removeHandler(context: context, promise: nil)
        return buffer
    }

    func close() {
        isUsable = false
        listener = nil
        context?.close(promise: nil)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func channelActive(context: ChannelHandlerContext) {
        context.read()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard listener != nil else {
            // An answer that nobody has asked for.
            isUsable = false
            return context.close(promise: nil)
        }
        buffer.take(unwrapInboundIn(data))
        do {
            while let listener, let part = try decoder.next(&buffer) { tell(listener, part) }
            buffer.forgetRead()
        } catch {
            isUsable = false
            fail(error)
            context.close(promise: nil)
        }
    }

    private func tell(_ listener: any UpstreamListener, _ part: HTTPClientResponsePart) {
        switch part {
        case .head(let head):
            if !head.isKeepAlive || head.status == .switchingProtocols { isUsable = false }
            listener.answerBegan(head)
        case .body(let body): listener.answerHas(body)
        case .end:
            isAnswerWhole = true
            // What answers before it was asked completely would take the rest for the next request.
            if !isRequestSent { isUsable = false }
            // What comes after it would be taken for the next answer.
            saysTooMuch = buffer.readableBytes > 0
            self.listener = nil
            listener.answerEnded()
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        listener?.answerPauses()
        // So that it is also noticed when the other end closes.
        if !isPaused { context.read() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { listener?.canTakeMore() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        isUsable = false
        if decoder.endsWithConnection, isRequestSent, let listener { return tell(listener, .end(nil)) }
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

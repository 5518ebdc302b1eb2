import NIOCore
import NIOHTTP1

/// The first bytes of a head have come, and not all of it.
struct HeadBegun {}

/// Gives the parts of requests one by one as they are asked for with `read()`, so that nobody is sent more than they can take. It reads on until
/// something has come that nobody has asked for yet: to stop reading and to begin again takes a call of the system each.
///
/// What cannot be read as a request goes on as an error, once; whatever comes after it is read and thrown away.
///
/// A class to be inherited from, and not of a type that is told later: that asked the runtime with each part (`docs/decisions/0029`).
class RequestParts {
    private var isWanted = false
    /// A part is being handled, and what is asked for meanwhile follows it: not within it, or many small parts would fill the stack.
    private var isDelivering = false
    fileprivate(set) var hasFailed = false
    private var hasSaidHead = false

    /// The next part, or nil until more has come.
    func next() throws(Refusal) -> HTTPServerRequestPart? { fatalError("to be said by the kind of connection") }
    /// Whether something has arrived that was not given yet.
    var hasMore: Bool { fatalError("to be said by the kind of connection") }
    /// Whether some bytes of a head are there, and its end is not.
    var isWithinHead: Bool { false }

    final func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        if isWanted || hasFailed || !hasMore { context.read() }
    }

    final func read(context: ChannelHandlerContext) {
        isWanted = true
        guard !isDelivering else { return }
        deliver(context)
        if isWanted { context.read() }
    }

    final func deliver(_ context: ChannelHandlerContext) {
        guard !isDelivering else { return }
        isDelivering = true
        defer { isDelivering = false }
        while isWanted, !hasFailed {
            do {
                guard let part = try next() else { break }
                hasSaidHead = false
                isWanted = false
                context.fireChannelRead(NIOAny(part))
            } catch {
                hasFailed = true
                context.fireErrorCaught(error)
            }
        }
        if isWanted, !hasFailed, !hasSaidHead, isWithinHead {
            hasSaidHead = true
            context.fireUserInboundEventTriggered(HeadBegun())
        }
    }
}

/// Of a connection of HTTP/1; writes its answers too.
final class ConnectionParts: RequestParts, ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = ByteBuffer

    private var decoder = RequestDecoder()
    private var encoder = AnswerEncoder()
    /// What has come and was not read yet.
    private(set) var buffer = ByteBuffer()

    override func next() throws(Refusal) -> HTTPServerRequestPart? {
        let part = try decoder.next(&buffer)
        buffer.forgetRead()
        return part
    }

    override var hasMore: Bool { buffer.readableBytes > 0 }

    override var isWithinHead: Bool { decoder.isInHead && buffer.readableBytes > 0 }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !hasFailed else { return }
        buffer.take(unwrapInboundIn(data))
        deliver(context)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(let head): encoder.begin(head)
        case .body(.byteBuffer(let body)): encoder.add(body) { context.write(wrapOutboundOut($0), promise: nil) }
        case .body(.fileRegion): preconditionFailure("no answer is a file")
        case .end:
            encoder.end()
            return context.write(wrapOutboundOut(encoder.take() ?? ByteBuffer()), promise: promise)
        }
        promise?.succeed()
    }

    func flush(context: ChannelHandlerContext) {
        if let bytes = encoder.take() { context.write(wrapOutboundOut(bytes), promise: nil) }
        context.flush()
    }
}

/// Of one stream of HTTP/2, as its codec makes them.
final class StreamParts: RequestParts, ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private var waiting = CircularBuffer<HTTPServerRequestPart>()

    override func next() -> HTTPServerRequestPart? { waiting.popFirst() }

    override var hasMore: Bool { !waiting.isEmpty }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        waiting.append(unwrapInboundIn(data))
        deliver(context)
    }
}

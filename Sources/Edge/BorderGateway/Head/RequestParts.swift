import NIOCore
import NIOHTTP1

/// The first bytes of a head have come, and not all of it.
struct HeadBegun {}

/// Where the parts of requests come from.
protocol RequestPartSource {
    associatedtype Arriving
    mutating func take(_ arrived: Arriving)
    /// The next part, or nil until more has come.
    mutating func next() throws(Refusal) -> HTTPServerRequestPart?
    /// Whether something has arrived that was not given yet.
    var hasMore: Bool { get }
    /// Whether some bytes of a head are there, and its end is not.
    var isWithinHead: Bool { get }
}

/// Gives the parts of requests one by one as they are asked for with `read()`, so that nobody is sent more than they can take. It reads on until
/// something has come that nobody has asked for yet: to stop reading and to begin again takes a call of the system each.
///
/// What cannot be read as a request goes on as an error, once; whatever comes after it is read and thrown away.
final class RequestParts<Source: RequestPartSource>: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = Source.Arriving
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private(set) var source: Source
    private var isWanted = false
    /// A part is being handled, and what is asked for meanwhile follows it: not within it, or many small parts would fill the stack.
    private var isDelivering = false
    private var hasFailed = false
    private var hasSaidHead = false

    init(of source: Source) {
        self.source = source
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !hasFailed else { return }
        source.take(unwrapInboundIn(data))
        deliver(context)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        if isWanted || hasFailed || !source.hasMore { context.read() }
    }

    func read(context: ChannelHandlerContext) {
        isWanted = true
        guard !isDelivering else { return }
        deliver(context)
        if isWanted { context.read() }
    }

    private func deliver(_ context: ChannelHandlerContext) {
        guard !isDelivering else { return }
        isDelivering = true
        defer { isDelivering = false }
        while isWanted, !hasFailed {
            do {
                guard let part = try source.next() else { break }
                hasSaidHead = false
                isWanted = false
                context.fireChannelRead(wrapInboundOut(part))
            } catch {
                hasFailed = true
                context.fireErrorCaught(error)
            }
        }
        if isWanted, !hasFailed, !hasSaidHead, source.isWithinHead {
            hasSaidHead = true
            context.fireUserInboundEventTriggered(HeadBegun())
        }
    }
}

/// The bytes of a connection of HTTP/1.
struct ConnectionBytes: RequestPartSource {
    private var decoder = RequestDecoder()
    /// What has come and was not read yet.
    private(set) var buffer = ByteBuffer()

    mutating func take(_ arrived: ByteBuffer) {
        buffer.take(arrived)
    }

    mutating func next() throws(Refusal) -> HTTPServerRequestPart? {
        let part = try decoder.next(&buffer)
        buffer.forgetRead()
        return part
    }

    var hasMore: Bool { buffer.readableBytes > 0 }

    var isWithinHead: Bool { decoder.isInHead && buffer.readableBytes > 0 }
}

/// What the codec of HTTP/2 makes of one stream.
struct StreamFrames: RequestPartSource {
    private var waiting = CircularBuffer<HTTPServerRequestPart>()

    mutating func take(_ arrived: HTTPServerRequestPart) {
        waiting.append(arrived)
    }

    mutating func next() -> HTTPServerRequestPart? { waiting.popFirst() }

    var hasMore: Bool { !waiting.isEmpty }

    var isWithinHead: Bool { false }
}

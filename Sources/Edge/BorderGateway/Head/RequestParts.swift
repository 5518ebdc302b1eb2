import NIOCore
import NIOHTTP1

/// Gives the parts of requests one by one as they are asked for with `read()`, so that nobody is sent more than they can take.
///
/// What cannot be read as a request goes on as an error, once; whatever comes after it is read and thrown away.
final class RequestParts: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// How much that was read is kept before the rest is moved to the front.
    private static let slack = 32 * 1024

    private var decoder = RequestDecoder()
    private var buffer = ByteBuffer()
    private var isWanted = false
    /// A part is being handled, and what is asked for meanwhile follows it: not within it, or many small parts would fill the stack.
    private var isDelivering = false
    private var hasFailed = false
    private var isInHead = false

    /// The first bytes of a head have come, and not all of it.
    struct HeadBegun {}

    /// What has come after the last request. To be called once, when no more requests are to be read.
    func takeRest() -> ByteBuffer {
        defer { buffer = ByteBuffer() }
        return buffer
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !hasFailed else { return }
        var new = unwrapInboundIn(data)
        if buffer.readableBytes == 0 { buffer = new } else { buffer.writeBuffer(&new) }
        deliver(context)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        if isWanted || hasFailed { context.read() }
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
                guard let part = try decoder.next(&buffer) else { break }
                isInHead = false
                if buffer.readerIndex > RequestParts.slack { buffer.discardReadBytes() }
                isWanted = false
                context.fireChannelRead(wrapInboundOut(part))
            } catch {
                hasFailed = true
                context.fireErrorCaught(error)
            }
        }
        if isWanted, !hasFailed, decoder.isInHead, !isInHead, buffer.readableBytes > 0 {
            isInHead = true
            context.fireUserInboundEventTriggered(HeadBegun())
        }
    }
}

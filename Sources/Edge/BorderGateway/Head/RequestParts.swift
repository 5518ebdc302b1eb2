import NIOCore
import NIOHTTP1

/// Gives the parts of requests one by one as they are asked for with `read()`, so that nobody is sent more than they can take.
///
/// What cannot be read as a request goes on as an error, once, and nothing after it.
final class RequestParts: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private var decoder = RequestDecoder()
    private var buffer: ByteBuffer?
    private var isWanted = false
    private var hasFailed = false
    private var isInHead = false

    /// The first bytes of a head have come, and not all of it.
    struct HeadBegun {}

    /// What has come after the last request. To be called once, when no more requests are to be read.
    func takeRest() -> ByteBuffer? {
        defer { buffer = nil }
        return buffer
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !hasFailed else { return }
        var new = unwrapInboundIn(data)
        if buffer == nil || buffer?.readableBytes == 0 {
            buffer = new
        } else {
            buffer?.writeBuffer(&new)
        }
        if isWanted { deliver(context) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        if isWanted, !hasFailed { context.read() }
    }

    func read(context: ChannelHandlerContext) {
        // What still comes is thrown away.
        guard !hasFailed else { return context.read() }
        isWanted = true
        if deliver(context) {
            context.fireChannelReadComplete()
        } else if !hasFailed {
            context.read()
        }
    }

    /// - Returns: whether there was a part.
    @discardableResult
    private func deliver(_ context: ChannelHandlerContext) -> Bool {
        guard var bytes = buffer.take() else { return false }
        do {
            let part = try decoder.next(&bytes)
            bytes.discardReadBytes()
            buffer = bytes
            guard let part else {
                if decoder.isInHead, !isInHead, bytes.readableBytes > 0 {
                    isInHead = true
                    context.fireUserInboundEventTriggered(HeadBegun())
                }
                return false
            }
            isInHead = false
            isWanted = false
            context.fireChannelRead(wrapInboundOut(part))
        } catch {
            isWanted = false
            hasFailed = true
            context.fireErrorCaught(error)
        }
        return true
    }
}

import NIOCore
import NIOHTTP1

/// Gives the parts of one request of HTTP/2 one by one as they are asked for with `read()`, as `RequestParts` does for HTTP/1.
final class StreamParts: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private var waiting = CircularBuffer<HTTPServerRequestPart>()
    private var isWanted = false
    private var isDelivering = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        waiting.append(unwrapInboundIn(data))
        deliver(context)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        if isWanted { context.read() }
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
        while isWanted, let part = waiting.popFirst() {
            isWanted = false
            context.fireChannelRead(wrapInboundOut(part))
        }
    }
}

import NIOCore

/// Two connections that pass everything on to each other, each only as fast as the other takes it: after an upgrade.
final class Tunnel: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var partner: Tunnel?
    private var context: ChannelHandlerContext?
    private var waits = false

    /// Two that belong together.
    static func pair() -> (Tunnel, Tunnel) {
        let (one, other) = (Tunnel(), Tunnel())
        one.partner = other
        other.partner = one
        return (one, other)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        partner = nil
    }

    /// - Parameter early: what came before both ends were ready.
    func begin(with early: ByteBuffer) {
        if early.readableBytes > 0 { partner?.context?.write(wrapOutboundOut(early), promise: nil) }
        partner?.context?.flush()
        goOn()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        partner?.context?.write(wrapOutboundOut(unwrapInboundIn(data)), promise: nil)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        partner?.context?.flush()
        goOn()
    }

    /// Reads on where the other end has room.
    func goOn() {
        guard let context, let other = partner?.context else { return }
        waits = !other.channel.isWritable
        if !waits { context.read() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, partner?.waits ?? false { partner?.goOn() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event { partner?.context?.close(mode: .output, promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        guard let other = partner?.context else { return }
        partner = nil
        // After all that is on its way there.
        let sent = other.eventLoop.makePromise(of: Void.self)
        let bound = NIOLoopBound(other, eventLoop: other.eventLoop)
        sent.futureResult.whenComplete { _ in bound.value.close(promise: nil) }
        other.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: sent)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}

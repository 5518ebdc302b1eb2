import NIOCore
import Values

/// Two connections that pass everything on to each other, each only as fast as the other takes it: after an upgrade. They end together, also
/// where nothing came from either for a time.
final class Tunnel: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var partner: Tunnel?
    private var context: ChannelHandlerContext?
    private var waits = false
    private let idleLimit: TimeSpan
    /// When something came last, from here.
    private var cameAt = NIODeadline.now()
    private var timer: Scheduled<Void>?

    private init(idleLimit: TimeSpan) {
        self.idleLimit = idleLimit
    }

    /// Two that belong together, on one event loop.
    /// - Parameter idleLimit: how long they live without a byte either way.
    static func pair(idleLimit: TimeSpan) -> (Tunnel, Tunnel) {
        let (one, other) = (Tunnel(idleLimit: idleLimit), Tunnel(idleLimit: idleLimit))
        one.partner = other
        other.partner = one
        return (one, other)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        self.context = nil
        partner = nil
    }

    /// - Parameter early: what came before both ends were ready.
    func begin(with early: ByteBuffer) {
        if early.readableBytes > 0 { partner?.context?.write(wrapOutboundOut(early), promise: nil) }
        partner?.context?.flush()
        cameAt = .now()
        watch(for: .microseconds(idleLimit.microseconds))
        goOn()
    }

    /// Looks after a time whether anything has come.
    private func watch(for time: TimeAmount) {
        guard let context else { return }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(in: time) { bound.value.look() }
    }

    private func look() {
        let last = max(cameAt, partner?.cameAt ?? cameAt)
        let end = last + .microseconds(idleLimit.microseconds)
        let now = NIODeadline.now()
        if now < end { watch(for: end - now) } else { context?.close(promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        cameAt = .now()
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

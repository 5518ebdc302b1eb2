import NIOCore

/// A script on one keep-alive connection: one request at a time, the next as soon as the answer is there.
final class LoadClient<S: Script>: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Sent through the pipelines once all are connected.
    struct Start: Sendable {
        let window: Window
        let ended: EventLoopPromise<Ended>
    }

    struct Ended: Sendable {
        let script: S
        let timings: Timings
    }

    private struct Closed: Error, CustomStringConvertible {
        let description = "a connection was closed before its answer came"
    }

    private var script: S
    private var reader = AnswerReader()
    private var run: (turn: Turn, ended: EventLoopPromise<Ended>)?

    init(_ script: S) {
        self.script = script
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard let start = event as? Start else { return context.fireUserInboundEventTriggered(event) }
        run = (Turn(window: start.window, out: context.channel.allocator.buffer(capacity: 2_048)), start.ended)
        step(nil, context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        reader.append(unwrapInboundIn(data))
        do {
            while let answer = try reader.next() { step(answer, context) }
        } catch {
            fail(error, context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(Closed(), context)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(error, context)
    }

    private func step(_ answer: Answer?, _ context: ChannelHandlerContext) {
        guard run != nil else { return }
        do {
            run!.turn.out.clear()
            switch try script.next(after: answer, &run!.turn) {
            case .request:
                run!.turn.requestIsSent()
                context.writeAndFlush(wrapOutboundOut(run!.turn.out), promise: nil)
            case .pause(let time):
                context.eventLoop.assumeIsolated().scheduleTask(in: time) { self.step(nil, context) }
            case .stop:
                run!.ended.succeed(Ended(script: script, timings: run!.turn.timings))
                run = nil
                context.close(promise: nil)
            }
        } catch {
            fail(error, context)
        }
    }

    private func fail(_ error: any Error, _ context: ChannelHandlerContext) {
        guard let ended = run?.ended else { return }
        run = nil
        ended.fail(error)
        context.close(promise: nil)
    }
}

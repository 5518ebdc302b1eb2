import Discovery
import NIOCore
import NIOHTTP1
import Values

extension ClientHandler {
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is Stop:
            if case .idle = phase, !isHeadBegun { context.close(promise: nil) }
        case is HeadBegun:
            guard case .idle = phase else { return }
            isHeadBegun = true
            limit(to: policy.configuration.headTime)
        case ChannelEvent.inputClosed:
            isInputClosed = true
            switch phase {
            // What was sent before may not be handed on yet; if it was not all, time ends it.
            case .answering, .deciding, .judging, .streaming: break
            case .idle, .collecting, .draining: context.close(promise: nil)
            }
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        guard context.channel.isWritable else { return }
        forwarding?.goOn()
        if owesRead {
            owesRead = false
            context.read()
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        forwarding?.cancel(isLate: false)
        forwarding = nil
        number &+= 1
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let refusal = error as? Refusal else { return context.close(promise: nil) }
        if head == nil { startedAt = .now() }
        isRequestWhole = false
        refuse(refusal)
    }

    /// The request, or what is waited for between two, must come to its end within this time.
    func limit(to time: TimeSpan) {
        guard let context else { return }
        endsAt = .now() + .microseconds(time.microseconds)
        if let timer {
            // One that is due earlier looks at the time anew.
            guard timer.at > endsAt else { return }
            timer.task.cancel()
        }
        schedule(context)
    }

    func limitStream() {
        if let admission { limit(to: admission.plan.time) }
    }

    private func schedule(_ context: ChannelHandlerContext) {
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        timer = (endsAt, context.eventLoop.scheduleTask(deadline: endsAt) { bound.value.timeHasCome() })
    }

    private func timeHasCome() {
        guard let context else { return }
        timer = nil
        guard endsAt <= .now() else { return schedule(context) }
        switch phase {
        case .idle where isHeadBegun: refuse(.tooSlow)
        case .idle, .draining: context.close(promise: nil)
        case .collecting: refuse(.tooSlow)
        case .streaming:
            // Whoever is slow here, it is not the instance.
            forwarding?.cancel(isLate: false)
            refuse(.tooSlow)
        // Counted when its turn comes.
        case .judging: refuse(Firewall.overloaded)
        case .deciding, .answering:
            // An instance whose answer the client does not take is not late.
            forwarding?.cancel(isLate: canTakeMore)
            forwarding = nil
            refuse(
                Refusal(
                    Problem(
                        504, "gateway-timeout", "The service took too long",
                        detail: "Whether it was done is not known. Repeat the request with the same Idempotency-Key.", retryAfter: 1),
                    closes: true))
        }
    }
}

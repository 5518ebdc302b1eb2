import NIOCore
import Values

extension ClientHandler {
    /// Goes on once the firewall lets the request pass, and refuses it otherwise.
    /// - Parameter body: nil where it is a stream.
    func pass(_ admission: Admission, _ body: ByteBuffer?, then goOn: @escaping (ClientHandler) -> Void) {
        guard let context else { return }
        let settings = policy.configuration.firewall
        guard !gateway.firewall.letsPass(admission, body, settings, on: context.eventLoop) else { return goOn(self) }
        phase = .judging
        limit(to: Firewall.time)
        let bound = NIOLoopBound((self, goOn), eventLoop: context.eventLoop)
        let number = number
        gateway.firewall.judge(admission, body, settings, on: context.eventLoop).whenSuccess { refusal in
            let (handler, goOn) = bound.value
            guard handler.number == number, case .judging = handler.phase else { return }
            if let refusal { handler.refuse(refusal) } else { goOn(handler) }
        }
    }
}

import NIOCore
import Synchronization

/// How much of the answers that were made in this process is not taken yet. Each is whole in memory until its client has taken it.
final class UnsentAnswers: Sendable {
    private struct State {
        var all = 0
        var byClient: [IPAddress: Int] = [:]
    }

    /// Bytes, of all answers together, and of those to one client's household, so that none leaves nothing to the others.
    private static let most = 256 << 20
    private static let share = 32 << 20
    /// Smaller ones are not counted.
    private static let least = 4_096

    private let state = Mutex(State())

    func hasRoom(for bytes: Int, to client: IPAddress) -> Bool {
        if bytes < UnsentAnswers.least { return true }
        return state.withLock { state in
            state.all + bytes <= UnsentAnswers.most && state.byClient[client, default: 0] + bytes <= UnsentAnswers.share
        }
    }

    /// To be kept, or broken, when the end of the answer is sent, or never will be.
    func promise(for bytes: Int, to client: IPAddress, on loop: any EventLoop) -> EventLoopPromise<Void>? {
        guard bytes >= UnsentAnswers.least else { return nil }
        add(bytes, to: client)
        let promise = loop.makePromise(of: Void.self)
        promise.futureResult.whenComplete { [self] _ in add(-bytes, to: client) }
        return promise
    }

    private func add(_ bytes: Int, to client: IPAddress) {
        state.withLock { state in
            state.all += bytes
            let rest = state.byClient[client, default: 0] + bytes
            state.byClient[client] = rest > 0 ? rest : nil
        }
    }
}

import NIOCore
import Synchronization

/// How much of the answers that were made in this process is not taken yet. Each is whole in memory until its client has taken it.
final class UnsentAnswers: Sendable {
    /// Bytes, of all answers together.
    private static let most = 256 << 20
    /// Smaller ones are not counted.
    private static let least = 4_096

    private let count = Atomic(0)

    func hasRoom(for bytes: Int) -> Bool {
        bytes < UnsentAnswers.least || count.load(ordering: .relaxed) + bytes <= UnsentAnswers.most
    }

    /// To be kept when they are sent, or never will be.
    func promise(for bytes: Int, on loop: any EventLoop) -> EventLoopPromise<Void>? {
        guard bytes >= UnsentAnswers.least else { return nil }
        count.add(bytes, ordering: .relaxed)
        let promise = loop.makePromise(of: Void.self)
        promise.futureResult.whenComplete { [self] _ in count.subtract(bytes, ordering: .relaxed) }
        return promise
    }
}

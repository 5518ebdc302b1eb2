internal import NIOCore
internal import NIOPosix

/// The event loop on which a caller began to wait, and where it goes on: the loop of its connection. A caller that is resumed by
/// another thread would go on at any loop, and wake a second one to write its answer.
package struct HomeLoop: Sendable {
    private let loop: (any EventLoop)?

    /// Of the thread that asks; none beyond the event loops.
    package static var current: HomeLoop { HomeLoop(loop: MultiThreadedEventLoopGroup.currentEventLoop) }

    /// Has each of many callers resumed at its home. Each loop is woken once.
    /// - Parameter resume: continues one caller; runs on its loop, or here where it has none.
    package static func resume<Caller: Sendable>(
        _ callers: [Caller], home: (Caller) -> HomeLoop, _ resume: @escaping @Sendable (Caller) -> Void
    ) {
        var loops: [(loop: any EventLoop, callers: [Caller])] = []
        for caller in callers {
            guard let loop = home(caller).loop else {
                resume(caller)
                continue
            }
            if let index = loops.firstIndex(where: { $0.loop === loop }) {
                loops[index].callers.append(caller)
            } else {
                loops.append((loop, [caller]))
            }
        }
        for (loop, callers) in loops {
            loop.execute { for caller in callers { resume(caller) } }
        }
    }
}

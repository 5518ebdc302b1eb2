internal import CTaskHook
import NIOCore
import NIOPosix

/// Where tasks run that have no executor of their own.
package enum TaskExecution {
    private typealias Hook = @convention(thin) (UnownedJob, @convention(thin) (UnownedJob) -> Void) -> Void

    /// The executor of tasks that have none, as Swift's own pool of threads names it. By a loop's name a task would run as one that is
    /// bound to this loop, and be queued again at each call of an asynchronous function that is bound to nothing.
    private static let anywhere = unsafe unsafeBitCast((0, 0), to: UnownedSerialExecutor.self)

    /// On the event loops: a request that stays on its connection's thread wakes no other. To be called once, before the first task.
    ///
    /// NIO's own `unsafeTryInstallSingletonPosixEventLoopGroupAsConcurrencyGlobalExecutor` does the same, but only where Swift's
    /// runtime is a shared library.
    package static func moveToEventLoops() {
        let hook: Hook = { job, _ in
            MultiThreadedEventLoopGroup.singleton.any().execute { unsafe job.runSynchronously(on: TaskExecution.anywhere) }
        }
        unsafe task_hook_set(unsafeBitCast(hook, to: UnsafeMutableRawPointer.self))
    }
}

internal import CTaskHook
import NIOCore
import NIOPosix

/// Where tasks run that have no executor of their own.
package enum TaskExecution {
    private typealias Hook = @convention(thin) (UnownedJob, @convention(thin) (UnownedJob) -> Void) -> Void

    /// On the event loops: a request that stays on its connection's thread wakes no other. To be called once, before the first task.
    ///
    /// NIO's own `unsafeTryInstallSingletonPosixEventLoopGroupAsConcurrencyGlobalExecutor` does the same, but only where Swift's
    /// runtime is a shared library.
    package static func moveToEventLoops() {
        let hook: Hook = { job, _ in MultiThreadedEventLoopGroup.singleton.any().executor.enqueue(ExecutorJob(job)) }
        unsafe task_hook_set(unsafeBitCast(hook, to: UnsafeMutableRawPointer.self))
    }
}

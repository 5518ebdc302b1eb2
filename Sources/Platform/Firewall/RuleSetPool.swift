package import NIOCore
internal import NIOPosix
internal import Synchronization

/// Judges requests by the OWASP Core Rule Set on threads of its own: a verdict takes milliseconds, which neither an event loop nor a thread
/// of the cooperative pool has.
package final class RuleSetPool: Sendable {
    /// There are more requests to judge than can be judged in time.
    package struct Busy: Error {}

    /// A body with more is unreadable.
    package static let mostValues = RuleText.mostValues

    private let text: RuleText
    private let threads: NIOThreadPool
    private let mostWaiting: Int
    private let waiting = Atomic(0)
    private let rules = Mutex<Reading>(Reading())

    /// How the rules were read last.
    private struct Reading {
        var rules: RuleSet?
        var failure: RuleSetError?
        var notBefore = NIODeadline.uptimeNanoseconds(0)
    }

    private let pauseAfterFailure: TimeAmount

    /// Reads nothing yet but whether the files are there.
    /// - Parameters:
    ///   - folder: where the package `modsecurity-crs` puts the rules, such as `/usr/share/modsecurity-crs`.
    ///   - mostWaiting: further requests are refused with `Busy`.
    ///   - pauseAfterFailure: files that could not be read are read again after it, and not for each request.
    package init(
        folder: String, exceptions: RuleExceptions, threads: Int = 2, mostWaiting: Int = 256, pauseAfterFailure: TimeAmount = .seconds(1)
    ) throws(RuleSetError) {
        self.pauseAfterFailure = pauseAfterFailure
        text = try RuleText(folder: folder, exceptions: exceptions)
        self.mostWaiting = mostWaiting
        self.threads = NIOThreadPool(numberOfThreads: threads)
        self.threads.start()
    }

    deinit {
        threads.shutdownGracefully { _ in }
    }

    /// Throws where there are no rules in the folder.
    package static func check(folder: String) throws(RuleSetError) {
        _ = try RuleText(folder: folder, exceptions: RuleExceptions())
    }

    /// Reads the rules now. Otherwise the first request waits for it.
    /// - Throws: `RuleSetError` where they cannot be used.
    package func load() async throws {
        try await threads.runIfActive { _ = try self.loaded() }
    }

    /// - Parameter deadline: who has waited until then is not judged any more.
    /// - Returns: a verdict, or `Busy`, or `RuleSetError`.
    package func judge(_ request: WebRequest, until deadline: NIODeadline, on loop: any EventLoop) -> EventLoopFuture<Verdict> {
        guard waiting.add(1, ordering: .relaxed).newValue <= mostWaiting else {
            waiting.subtract(1, ordering: .relaxed)
            return loop.makeFailedFuture(Busy())
        }
        let promise = loop.makePromise(of: Verdict.self)
        threads.submit { [self] state in
            defer { waiting.subtract(1, ordering: .relaxed) }
            guard case .active = state, .now() < deadline else { return promise.fail(Busy()) }
            promise.completeWith(Result { try loaded().judge(request) })
        }
        return promise.futureResult
    }

    /// On one of the threads: others wait here while one reads.
    private func loaded() throws(RuleSetError) -> RuleSet {
        try rules.withLock { reading throws(RuleSetError) in
            if let rules = reading.rules { return rules }
            if let failure = reading.failure, .now() < reading.notBefore { throw failure }
            do throws(RuleSetError) {
                let rules = try RuleSet(text)
                reading.rules = rules
                return rules
            } catch {
                reading.failure = error
                reading.notBefore = .now() + pauseAfterFailure
                throw error
            }
        }
    }
}

import Firewall
import Foundation
import NIOCore
import NIOPosix
import Testing

@Suite struct FirewallPoolTests {
    private static let request = WebRequest.get("/api/v1/events?query=it%27s")
    private let loop = MultiThreadedEventLoopGroup.singleton.any()

    private func pool(_ folder: String = Judges.folder, pauseAfterFailure: TimeAmount = .zero) throws -> RuleSetPool {
        try RuleSetPool(
            folder: folder, exceptions: RuleExceptions(), threads: 1, mostWaiting: 3, pauseAfterFailure: pauseAfterFailure)
    }

    @Test func `what more than may wait is told so at once, and afterwards there is room again`() async throws {
        let pool = try pool()
        try await pool.load()
        let verdicts = (0..<50).map { _ in pool.judge(FirewallPoolTests.request, until: .now() + .minutes(1), on: loop) }
        let results = try await EventLoopFuture.whenAllComplete(verdicts, on: loop).get()
        var allowed = 0
        for result in results {
            do {
                #expect(try result.get() == .allowed)
                allowed += 1
            } catch {
                #expect(error is RuleSetPool.Busy)
            }
        }
        // A verdict takes longer than asking for fifty, but some may have been given meanwhile.
        #expect((3...25).contains(allowed), "\(allowed) were judged")
        #expect(try await pool.judge(FirewallPoolTests.request, until: .now() + .minutes(1), on: loop).get() == .allowed)
    }

    @Test func `who has waited too long is not judged any more`() async throws {
        let pool = try pool()
        try await pool.load()
        await #expect(throws: RuleSetPool.Busy.self) {
            try await pool.judge(FirewallPoolTests.request, until: .now() - .seconds(1), on: loop).get()
        }
    }

    @Test func `rules that could not be read are read again, and not for each request`() async throws {
        let folder = NSTemporaryDirectory() + "rules-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let rules = "\(folder)/rules"
        try FileManager.default.createSymbolicLink(atPath: rules, withDestinationPath: "\(Judges.folder)/rules")
        let (pool, patient) = (try pool(folder), try pool(folder, pauseAfterFailure: .hours(1)))
        try FileManager.default.removeItem(atPath: rules)
        for pool in [pool, patient] { await #expect(throws: RuleSetError.self) { try await pool.load() } }
        try FileManager.default.createSymbolicLink(atPath: rules, withDestinationPath: "\(Judges.folder)/rules")
        await #expect(throws: RuleSetError.self) { try await patient.load() }
        try await pool.load()
        #expect(try await pool.judge(FirewallPoolTests.request, until: .now() + .minutes(1), on: loop).get() == .allowed)
    }
}

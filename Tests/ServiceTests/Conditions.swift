import Contracts
import Discovery
import Foundation
import ServiceKit
import Storage
import Synchronization
import Testing
import Values

/// Waits for a condition, and fails the test where it does not come true in time.
func eventually(
    within limit: TimeSpan = .seconds(20), _ what: Comment, sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async throws {
    let deadline = Instant.now + limit
    while try await !condition() {
        try #require(Instant.now < deadline, what, sourceLocation: sourceLocation)
        try await Task.sleep(for: .milliseconds(5))
    }
}

/// How long a test's calls may take together: many tests share few processors, and time is not what they are about.
let patience = TimeSpan.minutes(5)

/// Makes a call again for as long as another one with its key is said to run.
func patiently<S: Microservice>(_ call: () async throws -> ServiceHarness<S>.Answer) async throws -> ServiceHarness<S>.Answer {
    var answer = try await call()
    try await eventually(within: .minutes(2), "the first request never ended") {
        guard answer.problem == "request-in-progress" else { return true }
        answer = try await call()
        return answer.problem != "request-in-progress"
    }
    return answer
}

/// Closed until it is opened; then everybody may pass.
final class Gate: Sendable {
    private let state = Mutex<(isOpen: Bool, waiting: [CheckedContinuation<Void, Never>])>((false, []))

    func open() {
        let waiting = state.withLock { state in
            defer { state = (true, []) }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    func pass() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }
}

/// True for the first who asks.
final class Once: Sendable {
    private let isOver = Mutex(false)

    var isFirst: Bool {
        isOver.withLock { isOver in
            defer { isOver = true }
            return !isOver
        }
    }
}

/// A folder that is there as long as the body runs, for a service that is started again on what it left.
func withFolder<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let path = NSTemporaryDirectory() + "ticketflow-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try await TestEngine.chosen.whenThereIsRoom { try await body(path) }
}

extension ServiceHarness {
    func sql(_ statement: SQL) async throws {
        try await database.write { tx in _ = try tx.execute(statement) }
    }

    /// The single number that a statement names `number`.
    func number(_ statement: SQL) async throws -> Int64 {
        try await database.read { tx in try tx.row(statement)?["number"] ?? 0 }
    }

    func text(_ statement: SQL) async throws -> String? {
        try await database.read { tx in try tx.row(statement)?["text"] }
    }

    /// Answers of calls that are made at once.
    func atOnce(_ count: Int, _ call: @escaping @Sendable (Int) async throws -> Answer) async throws -> [Answer] {
        try await withThrowingTaskGroup(of: Answer.self) { group in
            for index in 0..<count { group.addTask { try await call(index) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }
}

extension Array {
    /// How many answers have each status.
    func statuses<S: Microservice>() -> [Int: Int] where Element == ServiceHarness<S>.Answer {
        reduce(into: [:]) { $0[$1.status, default: 0] += 1 }
    }
}

/// The same numbers for the same seed, so that what failed fails again.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1 }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

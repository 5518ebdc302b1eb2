internal import EventLoops
internal import NIOPosix
import ServiceLifecycle
import Synchronization
import Values

/// Transactions that wait for one of a bounded number of connections, each with a thread.
///
/// Work of a lane that arrives while a transaction of this lane runs is done together in the next one; lanes and all other work run
/// side by side. A connection that is done takes what waits next, and rests where nothing waits.
///
/// Other sessions may work in a lane of the same name: another process's, or another coalescer's. Where one does, a transaction waits for
/// its turn first, and then takes along whatever has arrived meanwhile: it would otherwise wait for the rows that the other has
/// locked, with the few that it began with.
final class PostgreSQLQueue: Sendable {
    private enum Turn {
        case alone(PendingWork)
        /// Whoever waits in the lane when its turn comes.
        case lane(Lane)
    }

    private struct State {
        var turns: [Turn] = []
        /// Who waits in each lane that has a turn, or whose transaction runs.
        var lanes: [Lane: [PendingWork]] = [:]
        var running: [ObjectIdentifier: [PendingWork]] = [:]
        /// Names of lanes in which another session was met, and until when that counts.
        var shared: [String: Instant] = [:]
        var resting: [PostgreSQLConnection] = []
        var atWork = 0
        var isClosed = false

        mutating func takeExpired(at now: Instant) -> [PendingWork] {
            var expired: [PendingWork] = []
            turns.removeAll { turn in
                guard case .alone(let work) = turn, work.isOver(at: now) else { return false }
                expired.append(work)
                return true
            }
            for (lane, waiting) in lanes where waiting.contains(where: { $0.isOver(at: now) }) {
                expired += waiting.filter { $0.isOver(at: now) }
                lanes[lane] = waiting.filter { !$0.isOver(at: now) }
            }
            return expired
        }
    }

    /// Bounds how long a transaction takes, and so how long its first member waits.
    private static let largestGroup = 256
    /// How often a transaction is run that others keep from committing.
    private static let mostTries = 10
    /// How long a lane is taken for a shared one after another session was met there.
    private static let sharedTime = TimeSpan.seconds(1)

    private let isReadOnly: Bool
    private let size: Int
    private let threads: NIOThreadPool
    private let makeConnection: @Sendable () -> PostgreSQLConnection
    private let state = Mutex(State())

    init(isReadOnly: Bool, size: Int, makeConnection: @escaping @Sendable () -> PostgreSQLConnection) {
        self.isReadOnly = isReadOnly
        self.size = size
        self.makeConnection = makeConnection
        threads = NIOThreadPool(numberOfThreads: size)
        threads.start()
    }

    deinit {
        threads.shutdownGracefully { _ in }
    }

    func add(_ work: PendingWork) {
        let (isRefused, needsThread) = state.withLock { state in
            guard !state.isClosed else { return (true, false) }
            if let lane = work.lane {
                let isKnown = state.lanes[lane] != nil
                state.lanes[lane, default: []].append(work)
                guard !isKnown else { return (false, false) }
                state.turns.append(.lane(lane))
            } else {
                state.turns.append(.alone(work))
            }
            guard state.atWork < size else { return (false, false) }
            state.atWork += 1
            return (false, true)
        }
        if isRefused { return work.fail(.closed) }
        if needsThread { threads.submit { [self] _ in drain() } }
    }

    /// Looks ten times a second for callers that no longer wait.
    func run() async {
        while !Task.isShuttingDownGracefully, (try? await Task.sleep(for: .milliseconds(100))) != nil {
            let now = Instant.now
            let (expired, begun) = state.withLock { state in
                (state.takeExpired(at: now), state.running.values.joined().filter { $0.isOver(at: now) })
            }
            for work in expired { work.fail(.deadline(begun: false)) }
            for work in begun { work.fail(.deadline(begun: true)) }
        }
    }

    /// Refuses new work, and returns when that which waits is done.
    func close() async throws {
        state.withLock { $0.isClosed = true }
        try await threads.shutdownGracefully()
        state.withLock { $0.resting = [] }
    }

    private func drain() {
        let connection = state.withLock { $0.resting.popLast() } ?? makeConnection()
        while let group = next(for: connection) {
            perform(group, on: connection)
            state.withLock { state in
                state.running[ObjectIdentifier(connection)] = nil
                guard let lane = group[0].lane else { return }
                if state.lanes[lane]?.isEmpty == true {
                    state.lanes[lane] = nil
                } else {
                    state.turns.append(.lane(lane))
                }
            }
        }
    }

    /// Nil where nothing waits: the connection rests then.
    private func next(for connection: PostgreSQLConnection) -> [PendingWork]? {
        state.withLock { state in
            while !state.turns.isEmpty {
                let group: [PendingWork]
                switch state.turns.removeFirst() {
                case .alone(let work): group = [work]
                case .lane(let lane):
                    let waiting = state.lanes[lane] ?? []
                    group = Array(waiting.prefix(PostgreSQLQueue.largestGroup))
                    // Those who waited may have given up by now.
                    state.lanes[lane] = group.isEmpty ? nil : Array(waiting.dropFirst(group.count))
                    guard !group.isEmpty else { continue }
                }
                state.running[ObjectIdentifier(connection)] = group
                return group
            }
            state.atWork -= 1
            state.resting.append(connection)
            return nil
        }
    }

    // MARK: Performing

    /// Performs what waits together, and answers all who wait for it.
    /// - Parameter isAlone: whether nothing is to be taken along.
    private func perform(_ group: [PendingWork], isAlone: Bool = false, on connection: PostgreSQLConnection) {
        let now = Instant.now
        let expired = group.filter { $0.isOver(at: now) }
        answer(expired) { $0.fail(.deadline(begun: false)) }
        var group = group.filter { !$0.isOver(at: now) }
        guard let first = group.first else { return }
        // One without a name locks nothing that others might want.
        let lane = first.lane.flatMap { isAlone || $0.name.isEmpty ? nil : $0 }
        let transaction = Transaction(connection: connection)
        for attempt in 1... {
            let waits = lane.map { isShared($0.name, at: .now) } ?? false
            connection.begin(
                isReadOnly: isReadOnly, lane: waits ? nil : lane?.name, deadline: PostgreSQLQueue.lastDeadline(of: group)
            ) { [self, group] in
                answer(group) { $0.fail(.deadline(begun: true)) }
            }
            if waits, let lane {
                connection.awaitTurn(in: lane.name)
                // Where the wait has failed, or lasted too long, those who came later get a turn of their own.
                if connection.canCommit {
                    group += takeArrived(in: lane, atMost: PostgreSQLQueue.largestGroup - group.count, on: connection)
                    connection.wait(until: PostgreSQLQueue.lastDeadline(of: group)) { [self, group] in
                        answer(group) { $0.fail(.deadline(begun: true)) }
                    }
                }
            }
            let isDone = first.perform(with: group, transaction)
            if connection.hasRival, let lane { share(lane.name, from: .now) }
            var actions: [@Sendable () -> Void] = []
            if isDone, !isReadOnly { actions = (try? connection.commit()) ?? [] }
            guard let failure = connection.failure else {
                if isDone || group.count == 1 {
                    for action in actions { action() }
                    answer(group) { $0.finish() }
                    return connection.end()
                }
                connection.end()
                return performEach(of: group, on: connection)
            }
            if let doubt = connection.doubt {
                answer(group) { $0.fail(.outcomeUnknown(doubt)) }
                return connection.end()
            }
            if failure.isWorthAnotherTry, attempt < PostgreSQLQueue.mostTries {
                connection.end()
                PostgreSQLLink.sleep(PostgreSQLQueue.pause(after: attempt))
                continue
            }
            if failure.isOfStatement, group.count > 1 {
                connection.end()
                return performEach(of: group, on: connection)
            }
            answer(group) { $0.fail(failure.storageError) }
            return connection.end()
        }
    }

    /// Decides again what was decided together and cannot be, so that one does no harm to the others.
    private func performEach(of group: [PendingWork], on connection: PostgreSQLConnection) {
        for work in group { perform([work], isAlone: true, on: connection) }
    }

    private func isShared(_ lane: String, at now: Instant) -> Bool {
        state.withLock { state in
            guard let end = state.shared[lane] else { return false }
            if end <= now { state.shared[lane] = nil }
            return now < end
        }
    }

    private func share(_ lane: String, from now: Instant) {
        state.withLock { state in
            if state.shared.count >= 1_000 { state.shared = state.shared.filter { now < $0.value } }
            state.shared[lane] = now + PostgreSQLQueue.sharedTime
        }
    }

    /// What has come into a lane since its transaction began.
    private func takeArrived(in lane: Lane, atMost room: Int, on connection: PostgreSQLConnection) -> [PendingWork] {
        state.withLock { state in
            let waiting = state.lanes[lane] ?? []
            let arrived = Array(waiting.prefix(room))
            state.lanes[lane] = Array(waiting.dropFirst(arrived.count))
            state.running[ObjectIdentifier(connection), default: []] += arrived
            return arrived
        }
    }

    private func answer(_ group: [PendingWork], _ answer: @escaping @Sendable (PendingWork) -> Void) {
        HomeLoop.resume(group, home: { $0.home }, answer)
    }

    /// Nil where one waits without end.
    private static func lastDeadline(of group: [PendingWork]) -> Instant? {
        group.reduce(Instant(microseconds: .min)) { last, work in
            guard let last, let deadline = work.deadline else { return nil }
            return max(last, deadline)
        }
    }

    /// At random, so that those who were in each other's way do not meet again.
    private static func pause(after attempt: Int) -> TimeSpan {
        attempt == 1 ? .zero : .milliseconds(.random(in: 1...Int64(1) << min(attempt, 6)))
    }
}

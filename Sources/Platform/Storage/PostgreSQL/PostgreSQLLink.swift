internal import CLibpq
import Glibc
internal import NIOPosix
import Synchronization
import Values

/// A connection of libpq in pipeline mode: commands are sent without waiting for the answers of those before.
///
/// No call waits beyond the time that it is given. Used by one thread at a time.
@safe final class PostgreSQLLink {
    /// The answer did not come in time; it may still come.
    struct TimeIsOver: Error {}

    private let connection: OpaquePointer

    /// Connects, and throws `PostgreSQLFailure`.
    init(_ parameters: [String: String], until limit: Instant) throws {
        guard let connection = unsafe PostgreSQLLink.start(parameters) else { throw PostgreSQLFailure.unreachable("out of memory") }
        unsafe self.connection = unsafe connection
        // What the server remarks would be written to stderr.
        unsafe PQsetNoticeProcessor(connection, { _, _ in }, nil)
        var phase = PGRES_POLLING_WRITING
        while phase != PGRES_POLLING_OK {
            guard unsafe PQstatus(connection) != CONNECTION_BAD, phase != PGRES_POLLING_FAILED else {
                throw PostgreSQLFailure.unreachable(message)
            }
            do {
                try wait(for: phase == PGRES_POLLING_READING ? POLLIN : POLLOUT, until: limit)
            } catch {
                throw PostgreSQLFailure.unreachable("no answer from \(parameters["host"] ?? "the server") in time")
            }
            phase = unsafe PQconnectPoll(connection)
        }
        guard unsafe PQsetnonblocking(connection, 1) == 0, unsafe PQenterPipelineMode(connection) == 1 else {
            throw PostgreSQLFailure.unreachable(message)
        }
    }

    deinit {
        unsafe PQfinish(connection)
    }

    private static func start(_ parameters: [String: String]) -> OpaquePointer? {
        let keywords = unsafe parameters.keys.map { unsafe strdup($0) }
        let values = unsafe parameters.values.map { unsafe strdup($0) }
        defer { unsafe (keywords + values).forEach { unsafe free($0) } }
        return unsafe PQconnectStartParams(
            keywords.map { unsafe UnsafePointer($0) } + [nil], values.map { unsafe UnsafePointer($0) } + [nil], 0)
    }

    private var message: String { unsafe String(cString: PQerrorMessage(connection)).trimmingWhitespace }

    // MARK: Sending

    func prepare(_ name: String, _ text: String, _ values: PostgreSQLValues) throws {
        try check(unsafe PQsendPrepare(connection, name, text, values.count, values.types))
    }

    func run(_ name: String, _ values: PostgreSQLValues) throws {
        try check(
            unsafe values.withPointers { pointers, lengths, formats in
                unsafe PQsendQueryPrepared(connection, name, values.count, pointers, lengths, formats, 1)
            })
    }

    func run(text: String, _ values: PostgreSQLValues) throws {
        try check(
            unsafe values.withPointers { pointers, lengths, formats in
                unsafe PQsendQueryParams(connection, text, values.count, values.types, pointers, lengths, formats, 1)
            })
    }

    /// Ends the commands that stand or fall together, and has all of them sent.
    func sync() throws {
        try check(unsafe PQpipelineSync(connection))
    }

    /// Sends what can be sent now; the rest goes while an answer is waited for.
    func flush() throws {
        guard unsafe PQflush(connection) >= 0 else { throw PostgreSQLFailure.lost(message) }
    }

    private func check(_ answer: Int32) throws {
        guard answer == 1 else { throw PostgreSQLFailure.lost(message) }
    }

    // MARK: Receiving

    /// The next result; nil where those of one command end. Throws `TimeIsOver`, and may then be asked again.
    func next(until limit: Instant?) throws -> PostgreSQLResult? {
        while true {
            let unsent = unsafe PQflush(connection)
            guard unsafe PQisBusy(connection) == 1 else { break }
            try wait(for: unsent == 1 ? POLLIN | POLLOUT : POLLIN, until: limit)
            guard unsafe PQconsumeInput(connection) == 1 else { throw PostgreSQLFailure.lost(message) }
        }
        guard let pointer = unsafe PQgetResult(connection) else {
            guard unsafe PQstatus(connection) != CONNECTION_BAD else { throw PostgreSQLFailure.lost(message) }
            return nil
        }
        return unsafe PostgreSQLResult(pointer)
    }

    private func wait(for events: Int32, until limit: Instant?) throws {
        while true {
            let left = limit.map { max(0, min(($0 - .now).milliseconds + 1, 3_600_000)) } ?? -1
            var descriptor = pollfd(fd: unsafe PQsocket(connection), events: Int16(events), revents: 0)
            let ready = unsafe poll(&descriptor, 1, Int32(left))
            if ready > 0 { return }
            if let limit, ready == 0, limit <= .now { throw TimeIsOver() }
            if ready < 0, errno != EINTR { throw PostgreSQLFailure.lost("poll failed (\(errno))") }
        }
    }

    // MARK: Cancelling

    /// Asks the server to end the statement that runs.
    ///
    /// - Parameter thread: libpq has no time limit for this, so it happens on another thread. Until it has happened nothing else must
    ///   be sent: it would be cancelled in its place.
    func cancel(on thread: NIOThreadPool) -> Cancellation {
        let cancellation = unsafe Cancellation(PQgetCancel(connection))
        thread.submit { _ in cancellation.perform() }
        return cancellation
    }

    @safe final class Cancellation: @unchecked Sendable {
        private let pointer: OpaquePointer?
        private let hasEnded = Atomic(false)

        fileprivate init(_ pointer: OpaquePointer?) {
            unsafe self.pointer = pointer
        }

        deinit {
            unsafe PQfreeCancel(pointer)
        }

        fileprivate func perform() {
            var message = [CChar](repeating: 0, count: 256)
            _ = unsafe PQcancel(pointer, &message, Int32(message.count))
            hasEnded.store(true, ordering: .releasing)
        }

        /// Whether nothing can be cancelled by it any more.
        func hasEnded(before limit: Instant) -> Bool {
            while !hasEnded.load(ordering: .acquiring) {
                guard .now < limit else { return false }
                PostgreSQLLink.sleep(.milliseconds(1))
            }
            return true
        }
    }

    /// Holds the thread, which is the engine's own.
    static func sleep(_ span: TimeSpan) {
        _ = poll(nil, 0, Int32(max(0, span.milliseconds)))
    }
}

extension String {
    fileprivate var trimmingWhitespace: String {
        split(whereSeparator: \.isNewline).joined(separator: " ")
    }
}

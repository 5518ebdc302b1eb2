internal import CLibpq
internal import NIOPosix
import Values

/// One of the engine's connections with its prepared statements, as a transaction sees it: connects when it is needed, and anew after
/// the connection was lost.
///
/// `BEGIN` goes with the first statement, what was queued with the next one that is waited for or with `COMMIT`.
///
/// Behind PgBouncer in transaction mode there is no session: each transaction may have another one. That is noticed here. Nothing is
/// left in the session then: statements are prepared anew each time, and each transaction sets its schema and time limits first.
///
/// Used by one thread at a time: that of the engine which has taken it.
final class PostgreSQLConnection: EngineConnection, @unchecked Sendable {
    /// What was sent and is not answered yet, in its order.
    private enum Command {
        /// With what takes its answer.
        case statement((borrowing PostgreSQLResult) throws -> Void)
        /// A statement's preparation, under the key that it is kept by.
        case preparation(StatementKey)
        case sync
    }

    /// What a statement is known by: its text as a service has said it, where PostgreSQL's has more, and its values' types.
    private struct StatementKey: Hashable {
        let text: String
        let differences: [Int]
        let types: [Oid]
    }

    private struct PreparedStatement {
        let name: String
        var columns: Row.Columns?
    }

    /// What a statement has said, once it has.
    private final class Said<Value> {
        var value: Value?
    }

    private enum Phase {
        case idle, begun
        /// From here on it may be committed, whatever is heard of it.
        case committing
    }

    /// Statements with lists come in few lengths, so that a service has a few hundred at most.
    private static let mostStatements = 500
    /// How long a server that was asked to cancel has to do so, and how much later than its own limit an answer may come.
    private static let grace = TimeSpan.seconds(2)
    private static let cancelsAgainAfter = TimeSpan.milliseconds(100)

    private let servers: PostgreSQLServers
    private let schema: String
    private let settings: PostgreSQLSettings

    private var link: PostgreSQLLink?
    /// Made when it is first needed.
    private var canceller: NIOThreadPool?
    private var isSessionless = false
    private var statements: [StatementKey: PreparedStatement] = [:]
    /// What the names of its statements begin with: unlike those of all others that a shared session may have.
    private let name = "s\(UInt64.random(in: 0...UInt64.max))"
    private var namesGiven = 0
    private var commands: [Command] = []
    /// How many of them, from the first, nobody waits for any more: whatever they say goes unheard.
    private var unheard = 0

    private var phase = Phase.idle
    private var isReadOnly = false
    private var lane: String?
    /// Whether another session has a transaction of this one's lane. Known with the first answer.
    private(set) var hasRival = false
    private var isAnswered = false
    /// What the server's clock showed at a moment of this process's.
    private var clock: (shown: Instant, at: ContinuousClock.Instant)?
    private var isUnlimited = false
    private var deadline: Instant?
    private var tellLate: () -> Void = {}
    private var isLate = false
    private var cancellation: PostgreSQLLink.Cancellation?
    /// When the server must have answered; nil where it may take as long as it takes.
    private var limit: Instant?
    private var commitActions: [@Sendable () -> Void] = []
    /// The first thing that went wrong in this transaction: nothing goes right after it.
    private(set) var failure: PostgreSQLFailure?
    /// Whether nothing has gone wrong, and the server was not asked to cancel.
    var canCommit: Bool { failure == nil && cancellation == nil }

    init(servers: PostgreSQLServers, schema: String, settings: PostgreSQLSettings) {
        self.servers = servers
        self.schema = schema
        self.settings = settings
    }

    deinit {
        canceller?.shutdownGracefully { _ in }
    }

    // MARK: A transaction

    /// - Parameters:
    ///   - lane: whose lock it takes where it is free, and without which it goes on all the same; nil for a transaction of no lane.
    ///   - deadline: when the last of its callers no longer waits: it is cancelled then.
    ///   - tellLate: is called at the deadline, before anything else takes time.
    func begin(isReadOnly: Bool, lane: String? = nil, deadline: Instant?, tellLate: @escaping () -> Void) {
        phase = .idle
        self.isReadOnly = isReadOnly
        self.lane = lane
        hasRival = false
        isAnswered = false
        clock = nil
        isUnlimited = false
        self.deadline = deadline
        self.tellLate = tellLate
        isLate = false
        commitActions = []
        failure = nil
    }

    /// Others wait for this transaction too: see `begin`.
    func wait(until deadline: Instant?, tellLate: @escaping () -> Void) {
        self.deadline = deadline
        self.tellLate = tellLate
    }

    /// Waits until no other session has a transaction of this lane. To be called before the first statement, which fails if this does.
    func awaitTurn(in lane: String) {
        _ = try? rows("SELECT 1 FROM (SELECT pg_advisory_xact_lock(\(key(of: lane)))) AS locked")
    }

    private func key(of lane: String) -> SQL {
        "hashtextextended(\("lane \(schema) \(lane)"), 0)"
    }

    /// Hands out what is to be done after the commit. Throws `PostgreSQLFailure`; see also `doubt`.
    func commit() throws -> [@Sendable () -> Void] {
        if let failure { throw failure }
        try attempt {
            guard phase == .begun else { return }
            // A connection that went away while it was idle is noticed before anything is in doubt.
            if !isAnswered { try exchange() }
            // What was to be cancelled, and went well before, is not risked to be cancelled now.
            guard cancellation == nil else { throw PostgreSQLFailure.expired }
            var command = ""
            try send("COMMIT") { result in command = result.command }
            phase = .committing
            try exchange()
            guard command == "COMMIT" else { throw PostgreSQLFailure.refused(state: "25P02", message: "the transaction was rolled back") }
        }
        phase = .idle
        return commitActions
    }

    /// Why the answer to a commit that was sent will never be known; nil where it is.
    var doubt: String? {
        guard phase == .committing, case .lost(let message) = failure else { return nil }
        return message
    }

    /// Undoes what is not committed, and makes the connection fit for the next transaction. Does not wait for the server's answer,
    /// which the next transaction finds before its own.
    func end() {
        defer {
            phase = .idle
            cancellation = nil
        }
        guard let link else { return }
        if failure?.isOfAnotherSession == true { isSessionless = true }
        if failure?.isOfSession == true { return drop() }
        if let cancellation, !cancellation.hasEnded(before: .now + PostgreSQLConnection.grace) { return drop() }
        guard phase != .idle else { return }
        do {
            // What a refused statement is followed by is skipped up to here, and the end of the transaction must not be.
            if !commands.isEmpty { try sync(link) }
            try send("ROLLBACK")
            try sync(link)
            unheard = commands.count
            try link.flush()
        } catch {
            drop()
        }
    }

    private func drop() {
        // A server that does not answer may hold up the canceller for ever: the next server has another one.
        canceller?.shutdownGracefully { _ in }
        canceller = nil
        link = nil
        statements = [:]
        commands = []
        unheard = 0
    }

    // MARK: Statements

    func execute(_ sql: SQL) throws -> Int {
        try queue(sql).get()
    }

    func rows(_ sql: SQL) throws -> [Row] {
        try ask(sql).get()
    }

    func queue(_ sql: SQL) throws -> Answer<Int> {
        try answer { said in
            try sendPrepared(sql) { _, result in said.value = result.changes }
        }
    }

    func ask(_ sql: SQL) throws -> Answer<[Row]> {
        try answer { said in
            try sendPrepared(sql) { [self] key, result in
                let columns = statements[key]?.columns ?? result.columns
                statements[key]?.columns = columns
                said.value = try result.rows(columns)
            }
        }
    }

    private func answer<Value>(_ send: (Said<Value>) throws -> Void) throws -> Answer<Value> {
        let said = Said<Value>()
        try perform { try send(said) }
        return Answer { [self] in
            // At the deadline, what was sent is cancelled by whoever waits for it.
            if said.value == nil { try perform(until: nil) { try exchange() } }
            guard let value = said.value else { throw StorageError.closed }
            return value
        }
    }

    func define(_ statement: String) throws {
        try perform {
            try send(Migration.postgreSQLText(statement))
            try exchange()
        }
    }

    func now() throws -> Instant {
        if clock == nil {
            try perform {
                if isReadOnly { try askClock() }
                try exchange()
            }
        }
        guard let clock else { throw StorageError.closed }
        return clock.shown + TimeSpan(microseconds: Int64((ContinuousClock.now - clock.at) / .microseconds(1)))
    }

    /// The last thing that the first exchange of a write asks, so that a wait for locks before it is over. Few reads want to know.
    private func askClock() throws {
        try sendPrepared("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS now") { [self] _, result in
            guard let row = try result.rows(result.columns).first else { return }
            clock = (try row["now"], .now)
        }
    }

    func onCommit(_ action: @escaping @Sendable () -> Void) {
        commitActions.append(action)
    }

    func lock(_ sql: SQL) throws {
        _ = try ask(sql)
    }

    func lockSchema() throws {
        isUnlimited = true
        _ = try rows("SELECT set_config('lock_timeout', '0', true), set_config('statement_timeout', '0', true)")
        _ = try rows("SELECT 1 FROM (SELECT pg_advisory_xact_lock(hashtextextended(\("schema \(schema)"), 0))) AS locked")
        let isThere = try !rows("SELECT 1 FROM pg_namespace WHERE nspname = \(schema)").isEmpty
        // Asked first: who may use a schema may not be allowed to make one.
        if !isThere { try define("CREATE SCHEMA \"\(schema)\"") }
    }

    /// Runs what a body asks for. Throws `StorageError`, and remembers why.
    private func perform<Result>(_ body: () throws -> Result) throws -> Result {
        try perform(until: deadline, body)
    }

    /// - Parameter limit: when it is not begun any more.
    private func perform<Result>(until limit: Instant?, _ body: () throws -> Result) throws -> Result {
        if let failure { throw failure.storageError }
        do {
            var result: Result?
            try attempt {
                if let limit, limit <= .now { throw PostgreSQLFailure.expired }
                try open()
                result = try body()
            }
            guard let result else { throw StorageError.closed }
            return result
        } catch let failure as PostgreSQLFailure {
            throw failure.storageError
        }
    }

    private func attempt(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch let failure as PostgreSQLFailure {
            self.failure = failure
            if case .lost = failure { drop() }
            throw failure
        }
    }

    // MARK: The wire

    /// Has a connection, and a transaction on it.
    private func open() throws {
        guard phase == .idle else { return }
        if link == nil {
            link = try servers.connect(by: deadline, isSessionless: &isSessionless)
            try checkSession()
        }
        try send(isReadOnly ? "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" : "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
        phase = .begun
        if isSessionless {
            let session = servers.session.map { name, value -> SQL in "set_config(\(name), \(value), true)" }
            try sendPrepared("SELECT \(SQL.joined(session, by: ", "))")
        }
        guard let lane else { return }
        try sendPrepared("SELECT pg_try_advisory_xact_lock(\(key(of: lane))) AS is_free") { [self] _, result in
            hasRival = try result.rows(result.columns).first?["is_free"] == false
        }
    }

    /// Whether there is a session, for what pools connections may have left out what it was to be told.
    private func checkSession() throws {
        guard !isSessionless else { return }
        var path: String?
        try send("SELECT current_setting('search_path') AS path") { result in path = try result.rows(result.columns).first?["path"] }
        try exchange()
        isSessionless = path != schema
    }

    private func openLink() throws -> PostgreSQLLink {
        guard let link else { throw PostgreSQLFailure.lost("the connection was lost") }
        return link
    }

    private func send(_ text: String, _ take: @escaping (borrowing PostgreSQLResult) throws -> Void = { _ in }) throws {
        try openLink().run(text: text, PostgreSQLValues(SQLValues()))
        commands.append(.statement(take))
    }

    /// Sends a statement, prepared before where the session keeps that.
    private func sendPrepared(
        _ sql: SQL, _ take: @escaping (StatementKey, borrowing PostgreSQLResult) throws -> Void = { _, _ in }
    ) throws {
        let link = try openLink()
        let values = PostgreSQLValues(sql.values)
        let key = StatementKey(text: sql.text, differences: isReadOnly ? [] : sql.differences.map(\.offset), types: values.types)
        if isSessionless {
            try link.run(text: sql.postgreSQLText(isReadOnly: isReadOnly), values)
        } else {
            try link.run(try statement(key, sql, values, on: link), values)
        }
        commands.append(.statement { result in try take(key, result) })
    }

    private func statement(_ key: StatementKey, _ sql: SQL, _ values: PostgreSQLValues, on link: PostgreSQLLink) throws -> String {
        if let known = statements[key] { return known.name }
        if statements.count >= PostgreSQLConnection.mostStatements {
            try send("DEALLOCATE ALL")
            statements = [:]
        }
        // A name is never given twice: where a pipeline fails it is not known which of its preparations the server has kept.
        namesGiven += 1
        let name = "\(name)_\(namesGiven)"
        try link.prepare(name, sql.postgreSQLText(isReadOnly: isReadOnly), values)
        commands.append(.preparation(key))
        statements[key] = PreparedStatement(name: name)
        return name
    }

    /// Ends the commands that stand or fall together.
    private func sync(_ link: PostgreSQLLink) throws {
        try link.sync()
        commands.append(.sync)
    }

    /// Waits for the answers to all that was sent.
    private func exchange() throws {
        if phase == .begun, !isReadOnly, clock == nil { try askClock() }
        try sync(openLink())
        limit = isUnlimited ? nil : .now + settings.statementTimeLimit + PostgreSQLConnection.grace
        var refusal: PostgreSQLFailure?
        var unreadable: (any Error)?
        while let command = commands.first {
            if case .sync = command {
                _ = try next()
            } else {
                while let result = try next() {
                    switch (result.status, command) {
                    case (PGRES_TUPLES_OK, .statement(let take)), (PGRES_COMMAND_OK, .statement(let take)):
                        guard unheard == 0 else { continue }
                        do { try take(result) } catch { unreadable = unreadable ?? error }
                    case (PGRES_COMMAND_OK, _): break
                    default:
                        if case .preparation(let key) = command { statements[key] = nil }
                        // What follows a refused command is skipped, and says so.
                        guard result.status != PGRES_PIPELINE_ABORTED else { continue }
                        if case .lost(let message) = result.failure { throw PostgreSQLFailure.lost(message) }
                        if unheard == 0 { refusal = refusal ?? result.failure }
                    }
                }
            }
            commands.removeFirst()
            unheard = max(0, unheard - 1)
        }
        isAnswered = true
        if let refusal { throw cancellation == nil ? refusal : .expired }
        if let unreadable { throw unreadable }
    }

    /// Waits for a result until the deadline, and then until the server has cancelled, or has committed.
    private func next() throws -> PostgreSQLResult? {
        let link = try openLink()
        if let deadline, !isLate {
            do {
                return try link.next(until: min(deadline, limit ?? deadline))
            } catch is PostgreSQLLink.TimeIsOver {
                isLate = deadline <= .now
            }
            if isLate {
                tellLate()
                if phase != .committing {
                    cancellation = link.cancel(on: startedCanceller())
                    limit = .now + PostgreSQLConnection.grace
                }
            }
        }
        while true {
            do {
                return try link.next(
                    until: cancellation == nil ? limit : limit.map { min($0, .now + PostgreSQLConnection.cancelsAgainAfter) })
            } catch is PostgreSQLLink.TimeIsOver {
                if let limit, limit <= .now { throw PostgreSQLFailure.lost("the server did not answer in time") }
                // What the server had not begun when it was asked is not cancelled by that, and would keep its locks.
                if cancellation?.hasEnded(before: .now) == true { cancellation = link.cancel(on: startedCanceller()) }
            }
        }
    }

    private func startedCanceller() -> NIOThreadPool {
        if let canceller { return canceller }
        let new = NIOThreadPool(numberOfThreads: 1)
        new.start()
        canceller = new
        return new
    }
}

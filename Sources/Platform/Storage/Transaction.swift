public import Values

/// An open transaction. It lives in the closure that it is handed to, and runs on the engine's own thread.
public struct Transaction {
    let connection: any EngineConnection

    /// Runs a statement and says how many rows it changed.
    @discardableResult
    public func execute(_ sql: SQL) throws -> Int {
        try connection.execute(sql)
    }

    /// Runs a statement of which nothing needs to be known yet: an engine beyond the network sends it with the next one. What is
    /// wrong with it is thrown by a later statement, or by the commit.
    /// - Returns: how many rows it changed.
    @discardableResult
    public func queue(_ sql: SQL) throws -> Answer<Int> {
        try connection.queue(sql)
    }

    /// Asks for rows that are not needed yet. What was asked one after the other, an engine beyond the network answers together.
    public func ask(_ sql: SQL) throws -> Answer<[Row]> {
        try connection.ask(sql)
    }

    /// Locks rows until the transaction ends: `sql` selects them and says `\(.forUpdate)`. What is asked next is answered under the locks.
    /// Nothing where there is one writer.
    public func lock(_ sql: SQL) throws {
        try connection.lock(sql)
    }

    /// Keeps others from changing the schema until the transaction ends, however long they have to wait.
    func lockSchema() throws {
        try connection.lockSchema()
    }

    /// Runs a statement of a migration.
    func define(_ statement: String) throws {
        try connection.define(statement)
    }

    public func rows(_ sql: SQL) throws -> [Row] {
        try connection.rows(sql)
    }

    public func row(_ sql: SQL) throws -> Row? {
        try connection.rows(sql).first
    }

    /// The database's clock at this moment. In SQLite that of this process; in PostgreSQL what the server's showed when it first
    /// answered this transaction, and what has passed here since then: never later than the server's.
    public var now: Instant {
        get throws { try connection.now() }
    }

    /// Runs once this transaction is durable, not at all if it is rolled back. Must be short: other writers wait for it.
    public func onCommit(_ action: @escaping @Sendable () -> Void) {
        connection.onCommit(action)
    }
}

/// What a statement will have said. To be asked for within its transaction.
public struct Answer<Value> {
    private let wait: () throws -> Value

    public init(_ wait: @escaping () throws -> Value) {
        self.wait = wait
    }

    /// Waits for it, and for the answers to all that was sent before.
    public func get() throws -> Value {
        try wait()
    }
}

/// What an engine offers to a transaction's body.
protocol EngineConnection {
    func execute(_ sql: SQL) throws -> Int
    func queue(_ sql: SQL) throws -> Answer<Int>
    func ask(_ sql: SQL) throws -> Answer<[Row]>
    func lock(_ sql: SQL) throws
    func lockSchema() throws
    /// Runs a statement of a migration, in the engine's own words.
    func define(_ statement: String) throws
    func rows(_ sql: SQL) throws -> [Row]
    func now() throws -> Instant
    func onCommit(_ action: @escaping @Sendable () -> Void)
}

extension Transaction {
    /// How many values one statement takes: few sizes, so that few statements are prepared and kept.
    private static let chunks = [64, 32, 16, 8, 4, 2, 1]

    /// Hands out the values in parts of few sizes, for statements that list them.
    public func inChunks<Value>(_ values: [Value], _ body: (ArraySlice<Value>) throws -> Void) throws {
        var rest = values[...]
        for size in Transaction.chunks {
            while rest.count >= size {
                try body(rest.prefix(size))
                rest = rest.dropFirst(size)
            }
        }
    }
}

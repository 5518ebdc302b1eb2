public import Values

/// How a service uses PostgreSQL.
public struct PostgreSQLSettings: Sendable {
    /// How many transactions write side by side. Each has a connection and a thread, opened when it is first needed.
    public var writers = 6
    /// How many transactions read side by side, so that reads never wait for writers.
    public var readers = 3
    /// After this the server ends a statement.
    public var statementTimeLimit = TimeSpan.seconds(30)
    /// After this a statement no longer waits for a lock that another transaction holds.
    public var lockTimeLimit = TimeSpan.seconds(5)
    /// How long one server has to take a connection before the next one in the connection string is tried.
    public var connectTimeLimit = TimeSpan.seconds(3)
    /// How long work that has no deadline waits for a server to be there.
    public var patience = TimeSpan.seconds(10)

    public init() {}
}

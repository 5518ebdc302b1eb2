extension Database {
    /// Uses a PostgreSQL server of version 14 or newer. Nothing is connected before it is needed.
    /// - Parameters:
    ///   - connectionString: as libpq takes it, a URL or `key=value` pairs, with several hosts for a fail-over and `sslmode=verify-full`
    ///     for TLS with verification.
    ///   - schema: where the service's tables are, and no other's; made by the first migration.
    public static func postgres(
        name: String, connectionString: String, schema: String, settings: PostgreSQLSettings = PostgreSQLSettings()
    ) throws -> Database {
        Database(name: name, engine: try PostgreSQLEngine(connectionString: connectionString, schema: schema, settings: settings))
    }
}

/// PostgreSQL through libpq: bounded numbers of connections for writers and for readers.
///
/// A write runs at READ COMMITTED and locks the rows that it decides by; a read sees one snapshot.
final class PostgreSQLEngine: StorageEngine {
    private let writes: PostgreSQLQueue
    private let reads: PostgreSQLQueue

    init(connectionString: String, schema: String, settings: PostgreSQLSettings) throws {
        let servers = try PostgreSQLServers(connectionString, schema: schema, settings: settings)
        let makeConnection: @Sendable () -> PostgreSQLConnection = {
            PostgreSQLConnection(servers: servers, schema: schema, settings: settings)
        }
        writes = PostgreSQLQueue(isReadOnly: false, size: settings.writers, makeConnection: makeConnection)
        reads = PostgreSQLQueue(isReadOnly: true, size: settings.readers, makeConnection: makeConnection)
    }

    func write(_ work: PendingWork) {
        writes.add(work)
    }

    func read(_ work: PendingWork) {
        reads.add(work)
    }

    func run() async {
        async let writing: Void = writes.run()
        async let reading: Void = reads.run()
        _ = await (writing, reading)
    }

    func close() async throws {
        try await writes.close()
        try await reads.close()
    }
}

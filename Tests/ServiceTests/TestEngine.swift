import Foundation
import Storage
import TestServers
import Values

/// On which engine the services run: SQLite, or PostgreSQL where `TICKETFLOW_TEST_ENGINE` is `postgres`.
enum TestEngine: String {
    case sqlite, postgres

    /// Where there is one, services run on PostgreSQL behind it.
    @TaskLocal static var network: FragileNetwork?

    /// Where a test is about one of them.
    @TaskLocal static var only: TestEngine?

    static var chosen: TestEngine { network == nil ? only ?? ofThisRun : .postgres }

    private static let ofThisRun: TestEngine = {
        guard let name = ProcessInfo.processInfo.environment["TICKETFLOW_TEST_ENGINE"] else { return .sqlite }
        guard let engine = TestEngine(rawValue: name) else {
            preconditionFailure("TICKETFLOW_TEST_ENGINE is sqlite or postgres, not \(name)")
        }
        return engine
    }()

    /// A service's database that belongs to a folder: a file in it, or a schema named after it, to be opened again by who has the folder.
    func open(_ service: String, in folder: String) async throws -> Database {
        switch self {
        case .sqlite: return try Database.sqlite(name: service, path: "\(folder)/\(service).sqlite")
        case .postgres:
            var settings = PostgreSQLSettings()
            // One where round trips are counted: the making of a second connection would count too.
            settings.writers = TestEngine.network == nil ? 3 : 1
            settings.readers = 2
            // Many tests share few processors, and time is not what they are about.
            settings.lockTimeLimit = .minutes(1)
            settings.patience = .minutes(1)
            // FNV-1a: the same for the same folder, in each run of a test.
            let place = folder.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
            let schema = "t\(String(place, radix: 16))_\(service.replacing("-", with: "_"))"
            return try Database.postgres(
                name: service,
                connectionString: try await PostgreSQLServer.shared.value.connectionString(port: TestEngine.network?.port),
                schema: schema, settings: settings)
        }
    }

    /// Lets only so many tests at a server at once as it has connections for.
    func whenThereIsRoom<Result>(_ body: () async throws -> Result) async throws -> Result {
        // Who has a place and asks for another would wait for itself.
        guard self == .postgres, !Room.isEntered else { return try await body() }
        await Room.shared.enter()
        do {
            let result = try await Room.$isEntered.withValue(true) { try await body() }
            await Room.shared.leave()
            return result
        } catch {
            await Room.shared.leave()
            throw error
        }
    }
}

extension ServiceHarness {
    /// How the engine would look for rows, and whether it would have to sort them, however few there are now.
    func plan(_ query: SQL) async throws -> (text: String, sorts: Bool) {
        switch TestEngine.chosen {
        case .sqlite:
            let steps = try await database.read { tx in try tx.rows("EXPLAIN QUERY PLAN \(query)").map { try $0["detail"] as String } }
            return (steps.joined(separator: "\n"), steps.contains { $0.contains("TEMP B-TREE") })
        case .postgres:
            let steps = try await database.read { tx in
                // Few rows are sorted and read as a whole wherever that can be chosen.
                for method in ["seqscan", "bitmapscan", "sort"] {
                    try tx.execute("SET LOCAL enable_\(SQL(stringLiteral: method)) = off")
                }
                return try tx.rows("EXPLAIN \(query)").map { try $0["QUERY PLAN"] as String }
            }
            return (steps.joined(separator: "\n"), steps.contains { $0.contains("Sort") })
        }
    }
}

private actor Room {
    static let shared = Room()
    @TaskLocal static var isEntered = false

    private var places = 16
    private var waiting: [CheckedContinuation<Void, Never>] = []

    func enter() async {
        guard places == 0 else { return places -= 1 }
        await withCheckedContinuation { waiting.append($0) }
    }

    /// Gives the place to whoever waits longest.
    func leave() {
        guard !waiting.isEmpty else { return places += 1 }
        waiting.removeFirst().resume()
    }
}

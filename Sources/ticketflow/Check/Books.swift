import Discovery
import ServiceKit
import Storage
import Values

/// The databases of a system, opened to be read.
struct Books: Sendable {
    /// How long after its deadline an order may be on its way to its end.
    let grace: TimeSpan
    private let databases: [ServiceName: Database]

    init(_ settings: HouseSettings, grace: TimeSpan) throws {
        var databases: [ServiceName: Database] = [:]
        for service in ServiceList.all { databases[service.name] = try settings.openExistingDatabase(of: service.name) }
        self.databases = databases
        self.grace = grace
    }

    func database(_ service: ServiceName) -> Database? { databases[service] }

    func rows(_ service: ServiceName, _ query: SQL) async throws -> [Row] {
        guard let database = databases[service] else { return [] }
        return try await database.read { tx in try tx.rows(query) }
    }

    func close() async {
        for database in databases.values { try? await database.close() }
    }
}

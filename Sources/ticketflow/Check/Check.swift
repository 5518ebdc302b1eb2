import Discovery
import Storage
import Values

/// A rule that must hold in a data folder at any time.
struct Check: Sendable {
    let name: String
    /// Answers one line for each place where the rule does not hold, at most `Check.most`.
    let run: @Sendable (Books) async throws -> [String]

    /// How many findings of one check are told.
    static let most = 20

    /// A rule within one service's database.
    /// - Parameter query: gives a row with a column `finding` for each place where the rule does not hold.
    init(_ name: String, in service: ServiceName, _ query: SQL) {
        self.name = name
        run = { books in
            guard let database = books.database(service) else { return [] }
            return try await database.read { tx in
                try tx.rows("SELECT finding FROM (\(query)) AS findings LIMIT \(Check.most)").map { try $0["finding"] }
            }
        }
    }

    /// A rule across several databases.
    init(_ name: String, _ run: @escaping @Sendable (Books) async throws -> [String]) {
        self.name = name
        self.run = run
    }

    static let list = tickets + payments + coupons + orders + purchases + references

    /// What is wrong, a line each.
    static func all(on books: Books) async -> [String] {
        var lines: [String] = []
        for check in list {
            do {
                lines += try await check.run(books).prefix(most).map { "\(check.name): \($0)" }
            } catch {
                lines.append("\(check.name): could not be checked: \(Failure(error))")
            }
        }
        return lines
    }
}

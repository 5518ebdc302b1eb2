import ArgumentParser
import Foundation

struct FillCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fill",
        abstract: "Fills a PostgreSQL database with tickets that were sold before.",
        discussion: """
            The program must have run on the database once, so that its schemas are there, and must not run meanwhile. Whoever is \
            interrupted runs it again with the same options: it goes on with what is missing. To start over, take a new database.

            The database's user must be a superuser: foreign keys are not looked up for each row.
            """)

    @Option(help: "How many tickets there are to be in the end; a multiple of ten.")
    var tickets = 10_000_000

    @Option(help: "The database, as TICKETFLOW_DATABASE_URL names it.")
    var databaseURL: String

    @Option(help: "What ids, numbers and codes are made of: the same number makes the same.")
    var seed = 1

    func validate() throws {
        guard tickets > 0, tickets.isMultiple(of: 10) else { throw ValidationError("Tickets are a multiple of ten.") }
        guard (0...1_000_000).contains(seed) else { throw ValidationError("The seed is from 0 to 1,000,000.") }
    }

    func run() throws {
        try Fill(url: databaseURL, tickets: tickets, seed: seed).run()
    }
}

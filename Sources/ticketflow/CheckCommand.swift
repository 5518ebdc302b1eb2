import ArgumentParser
import Values

struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Verifies that the books of a system add up.",
        discussion: """
            Prints a line for everything that is wrong and then ends with status 1. Reads only. A server that runs meanwhile changes \
            one database after the other, which may look like a mistake; check a stopped system, or a backup.
            """)

    @OptionGroup var system: SystemOptions

    @Option(help: "How many seconds after its deadline an order may still be on its way to its end.")
    var grace = 60

    func run() async throws {
        do {
            let settings = try await HouseSettings(system)
            let books = try Books(settings, grace: .seconds(Int64(max(0, grace))))
            let findings = await Check.all(on: books)
            await books.close()
            for finding in findings { Terminal.say(finding) }
            guard findings.isEmpty else { throw ExitCode(1) }
            Terminal.say("All \(Check.list.count) checks passed.")
        } catch let exit as ExitCode {
            throw exit
        } catch {
            throw Failure(error)
        }
    }
}

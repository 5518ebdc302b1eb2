import ArgumentParser

struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Verifies that the books of a data folder add up.",
        discussion: """
            Prints a line for everything that is wrong and then ends with status 1. Reads only. A server that runs meanwhile changes \
            one database after the other, which may look like a mistake; check a stopped system, or a backup.
            """)

    @OptionGroup var data: DataOption

    func run() async throws {
        do {
            let settings = try HouseSettings(data: data.path)
            let books = try Books(settings.folder)
            let findings = try await Check.all(on: books)
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

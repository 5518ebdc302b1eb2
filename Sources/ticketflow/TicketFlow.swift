import ArgumentParser
import Glibc

@main
struct TicketFlow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ticketflow",
        abstract: "Sells tickets for events.",
        discussion: """
            Settings come from flags, then from the environment (TICKETFLOW_ before the key), then from the file that --config \
            names, then from a Config Server (TICKETFLOW_CONFIG_URLS), then from defaults; `ticketflow config` shows them. \
            Start with: ticketflow serve --demo
            """,
        subcommands: [Serve.self, DemoCommand.self, MessagesCommand.self, UserCommand.self, CheckCommand.self, ConfigCommand.self])

    static func main() async {
        // Databases and mails hold tickets, addresses and links: what is made is for this user's eyes only, in whatever folder.
        umask(0o077)
        await main(nil)
    }
}

/// The flags that all commands share.
struct SystemOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The folder with the system's data (default: ./data).", valueName: "dir"))
    var data: String?

    @Option(help: ArgumentHelp("A YAML file with settings.", valueName: "file"))
    var config: String?
}

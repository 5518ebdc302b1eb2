import ArgumentParser
import Contracts
import Logging
import Messaging
import Storage
import Values

struct MessagesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "messages",
        abstract: "Looks at messages between services, and takes care of those that failed for good.",
        discussion: "Works while the server runs.",
        subcommands: [List.self, Queues.self, Show.self, Replay.self, Discard.self], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists messages that failed for good, oldest first.")

        @Option(help: "Only of this queue.") var queue: String?
        @Option(help: "How many at most.") var limit = 100
        @OptionGroup var system: SystemOptions

        func run() async throws {
            let letters = try await withBroker(system) { try await $0.deadLetters(in: queue, limit: max(1, limit)) }
            Table(["queue", "id", "event", "published", "attempts", "reason"]) {
                letters.map {
                    [$0.queue, "\($0.message.id)", $0.message.name, "\($0.published)", "\($0.attempts)", $0.reason.onOneLine(atMost: 80)]
                }
            }.print(whenEmpty: "No message has failed for good.")
        }
    }

    struct Queues: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists queues with what waits in them.")

        @OptionGroup var system: SystemOptions

        func run() async throws {
            let queues = try await withBroker(system) { try await $0.queues() }
            Table(["queue", "ready", "waiting", "dead"]) {
                queues.map { [$0.name, "\($0.ready)", "\($0.waiting)", "\($0.dead)"] }
            }.print(whenEmpty: "No queue was declared yet.")
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows a message that failed for good, with its body.")

        @Argument(help: "As `list` shows it.") var id: String
        @OptionGroup var system: SystemOptions

        func run() async throws {
            let id = try messageID(id)
            let letters = try await withBroker(system) { try await $0.deadLetters(in: nil, limit: .max) }.filter { $0.message.id == id }
            guard let first = letters.first else {
                throw Failure("No message \(id) has failed for good.", next: "See `ticketflow messages list`.")
            }
            for letter in letters {
                Terminal.say("\(letter.queue): failed \(letter.attempts) times, published \(letter.published)\n  \(letter.reason)")
            }
            Terminal.say(first.message.json)
        }
    }

    struct Replay: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Puts messages that failed for good back into their queue.")

        @Argument(help: "As `queues` shows it.") var queue: String
        @OptionGroup var choice: Choice
        @OptionGroup var system: SystemOptions

        func run() async throws {
            let count = try await withBroker(system) { try await $0.replay(try choice.ids(), in: queue) }
            Terminal.say(count == 1 ? "1 message is in \(queue) again." : "\(count) messages are in \(queue) again.")
        }
    }

    struct Discard: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Removes messages that failed for good. They cannot be brought back.")

        @Argument(help: "As `queues` shows it.") var queue: String
        @OptionGroup var choice: Choice
        @OptionGroup var system: SystemOptions

        func run() async throws {
            let count = try await withBroker(system) { try await $0.discard(try choice.ids(), in: queue) }
            Terminal.say(count == 1 ? "1 message was removed from \(queue)." : "\(count) messages were removed from \(queue).")
        }
    }

    struct Choice: ParsableArguments {
        @Option(help: "One of these; may be said several times.") var id: [String] = []
        @Flag(help: "All of the queue.") var all = false

        func validate() throws {
            if all == !id.isEmpty { throw ValidationError("Say either --all or --id ID.") }
        }

        /// Nil means all.
        func ids() throws -> [MessageID]? {
            all ? nil : try id.map(messageID)
        }
    }
}

private func messageID(_ text: String) throws -> MessageID {
    guard let id = MessageID(text) else {
        throw Failure("\(text) is no message's id.", next: "One begins with evt_; see `ticketflow messages list`.")
    }
    return id
}

/// Opens the broker beside a server that may be running: RabbitMQ where the setting `broker.url` names one, otherwise the broker's database.
private func withBroker<Result>(_ system: SystemOptions, _ body: (any Broker) async throws -> Result) async throws -> Result {
    do {
        let settings = try await HouseSettings(system)
        if let address = settings.broker {
            let broker = RabbitMQBroker(address, waits: settings.retryWaits, logger: Logger(label: "messages"))
            do {
                try await broker.declare(Contracts.queues)
                let result = try await body(broker)
                await broker.close()
                return result
            } catch {
                await broker.close()
                throw error
            }
        }
        let database = try Database.sqlite(name: "broker", path: try settings.folder.existing("broker"), readers: 1)
        do {
            try await database.migrate(EmbeddedBroker.migrations)
            let result = try await body(EmbeddedBroker(database: database, waits: settings.retryWaits))
            try await database.close()
            return result
        } catch {
            try? await database.close()
            throw error
        }
    } catch {
        throw Failure(error)
    }
}

extension String {
    /// Without line breaks, cut where it is longer.
    fileprivate func onOneLine(atMost limit: Int) -> String {
        let line = String(map { $0.isNewline ? " " : $0 })
        return line.count > limit ? line.prefix(limit - 1) + "…" : line
    }
}

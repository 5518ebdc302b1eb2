import ArgumentParser
import Foundation

@main
struct TicketFlowBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ticketflow-bench", abstract: "Measures the program, and makes what it is measured on.",
        subcommands: [RunCommand.self, FillCommand.self, RegistryCommand.self], defaultSubcommand: RunCommand.self)
}

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Measures the program against yardsticks in the same run, over HTTP on this machine.",
        discussion: """
            Prints a line for each benchmark on standard output: its name, the ratio to the yardstick, the goal, the value. All else goes to \
            standard error.

            There are \(Benchmark.all.map(\.name).joined(separator: ", ")).
            """)

    @Option(help: "The name of a benchmark to run; may be given again. Without it all run.")
    var only: [String] = []

    @Option(help: "The program, built for release (default: $TICKETFLOW, else .build/release/ticketflow).")
    var binary: String?

    @Option(help: "How many clients there are.")
    var clients = 64

    @Option(help: "For how many seconds each load is measured.")
    var seconds = 5.0

    @Option(help: "How often a load and its yardstick take turns.")
    var rounds = 3

    @Option(help: "How many tickets are sold for growth.")
    var tickets = 100_000

    @Option(help: "How many tickets were sold before in holds-growth. Its goal speaks of 10,000,000, which take half an hour to make.")
    var sold = 200_000

    @Option(help: "The database for holds-growth, filled before with `fill`; it gets a neighbour on its server for a while.")
    var filled: String?

    @Option(help: "The folder in which data folders are made; on the disk that is to be measured.")
    var scratch = "/var/tmp"

    @Flag(help: "Ends with status 1 if a goal is missed.")
    var strict = false

    @Flag(help: "Also prints a Markdown table, with what the machine is.")
    var report = false

    func validate() throws {
        for name in only where !Benchmark.all.contains(where: { $0.name == name }) {
            throw ValidationError("There is no benchmark \(name). There are \(Benchmark.all.map(\.name).joined(separator: ", ")).")
        }
        guard clients > 0, rounds > 0, seconds > 0, (1_000...9_000_000).contains(tickets), sold > 0, sold.isMultiple(of: 10)
        else {
            throw ValidationError(
                "Clients, rounds and seconds are more than 0; tickets from 1,000 to 9,000,000; sold a multiple of ten.")
        }
    }

    func run() throws {
        let path = binary ?? ProcessInfo.processInfo.environment["TICKETFLOW"] ?? ".build/release/ticketflow"
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw ValidationError("There is no program at \(path). Make it with `make build`, or say where it is with --binary.")
        }
        if path.contains("/debug/") { note("This program was built for debugging; what follows says little.") }
        let machine = Machine(scratch: scratch)
        if machine.isScratchInMemory {
            note("\(scratch) is in memory: nothing that follows is durable. Name a folder on a disk with --scratch.")
        }
        let bench = Bench(
            binary: path, scratch: scratch, clients: clients, seconds: seconds, rounds: rounds, tickets: tickets, sold: sold,
            filled: filled)
        var report = Report(machine: machine, clients: clients)
        var isMet = true
        for benchmark in Benchmark.all where only.isEmpty || only.contains(benchmark.name) {
            note("\(benchmark.name) ...")
            let outcome = try benchmark.run(bench)
            print(outcome.line(benchmark.name))
            fflush(nil)
            report.add(benchmark.name, outcome)
            isMet = isMet && outcome.isMet
        }
        if self.report { print(report.text) }
        if strict, !isMet { throw ExitCode.failure }
    }
}

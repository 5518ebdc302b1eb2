/// The results as a table for people, with what they were measured on.
struct Report {
    let machine: Machine
    let clients: Int
    private var rows: [String] = []

    init(machine: Machine, clients: Int) {
        self.machine = machine
        self.clients = clients
    }

    mutating func add(_ name: String, _ outcome: Outcome) {
        let (yardstick, goal) =
            switch outcome.goal {
            case .ratioAtLeast(let least): (outcome.yardstick.text, "at least \(least.text)")
            case .ratioAtMost(let most): (outcome.yardstick.text, "at most \(most.text)")
            case .valueAtMost(let most): ("", "at most \(most.text) \(outcome.unit)")
            case .none: (outcome.yardstick.text, "")
            }
        let value = "\(outcome.value.text) \(outcome.unit)"
        rows.append("| \(name) | \(value) | \(yardstick) | \(outcome.ratio.text) | \(goal) | \(outcome.isMet ? "yes" : "no") |")
    }

    var text: String {
        """

        Measured on \(machine.cores) cores of \(machine.processor), \(machine.memory.text) GB of memory, Linux \(machine.kernel); \
        4 KiB reach the disk (\(machine.fileSystem)) in \(machine.durableWrite.text) ms. The load comes from \(clients) clients on the same machine.

        | benchmark | measured | yardstick | ratio | goal | met |
        |---|---|---|---|---|---|
        \(rows.joined(separator: "\n"))
        """
    }
}

import Discovery
import Storage

/// Why a command cannot do what it was asked for, and what to do about it.
struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ reason: String, next step: String) {
        self.init("\(reason) \(step)")
    }

    private init(_ description: String) {
        self.description = description
    }

    /// What is known about an error, for whoever sits at the terminal.
    init(_ error: any Error) {
        switch error {
        case let failure as Failure: self = failure
        case let problem as Problem: self.init(problem.detail.map { "\(problem.title): \($0)" } ?? problem.title)
        case StorageError.newerSchema(let database, _):
            self.init(
                "The database \(database) was written by a newer version of this program.",
                next: "Start that version, or restore a backup of the data folder.")
        case StorageError.engine(_, let message):
            self.init("A database cannot be used: \(message).", next: "Look whether the disk is full and the data folder may be written.")
        default: self.init("\(error)")
        }
    }

    /// What went wrong when a listener could not be opened; nil for other errors.
    init?(listening error: any Error, on address: String) {
        let text = "\(error)"
        if text.contains("Address already in use") {
            self.init("Something else listens on \(address).", next: "Stop it, or choose another port with --port.")
        } else if text.contains("Permission denied") {
            self.init("This user may not listen on \(address).", next: "Choose a port above 1023 with --port.")
        } else if text.contains("Cannot assign requested address") || text.contains("EAI") {
            self.init("This machine has no address \(address).", next: "Choose one that it has with --host, such as 127.0.0.1 or 0.0.0.0.")
        } else {
            return nil
        }
    }
}

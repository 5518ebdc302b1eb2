import FoundationEssentials
import Glibc

/// The folder that holds all that a system knows: a SQLite file per service, the broker's, secrets, and the mark of who uses it.
struct DataFolder {
    let path: String

    func database(_ name: String) -> String { "\(path)/\(name).sqlite" }
    /// What Config Servers said last.
    var lastSettings: String { "\(path)/settings" }
    var secrets: String { "\(path)/secrets" }
    var broker: String { database("broker") }
    /// What of the demonstration's data was loaded already.
    var demoJournal: String { "\(path)/demo.journal" }

    /// Makes it where it is missing, for its owner's eyes only.
    func make() throws {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw Failure("The folder \(path) cannot be made.", next: "Choose another with --data, or make it for this user.")
        }
        guard access(path, W_OK | X_OK) == 0 else {
            throw Failure(
                "The folder \(path) cannot be written.", next: "Choose another with --data, or give this user the right to write.")
        }
    }

    /// The path of a database that is there already.
    func existing(_ name: String) throws -> String {
        let file = database(name)
        guard FileManager.default.fileExists(atPath: file) else {
            throw Failure("There is no \(file).", next: "Name the folder of a system that was started before with --data.")
        }
        return file
    }
}

/// One process at a time: a lock on a file of the folder, which the system releases when the process ends in whatever way.
final class DataLock: Sendable {
    private let descriptor: Int32

    init(_ folder: DataFolder) throws {
        let file = "\(folder.path)/lock"
        descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw Failure(
                "\(file) cannot be opened: \(String(cString: strerror(errno))).", next: "Give this user the right to write there.")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let holder = (try? String(contentsOfFile: file, encoding: .utf8)).map { " (process \($0.filter(\.isNumber)))" } ?? ""
            close(descriptor)
            throw Failure(
                "Another ticketflow\(holder) works on \(folder.path).", next: "Stop it first, or choose another folder with --data.")
        }
        let process = "\(getpid())\n"
        _ = ftruncate(descriptor, 0)
        _ = process.withCString { write(descriptor, $0, strlen($0)) }
    }

    deinit {
        close(descriptor)
    }
}

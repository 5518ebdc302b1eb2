import FoundationEssentials
import Glibc
import Synchronization

/// What of the demonstration was loaded already, a line for each thing: its name, a tab, its id. An interrupted load goes on after
/// the last line.
final class DemoJournal: Sendable {
    /// The name of the last line.
    static let end = "complete"

    private let descriptor: Int32
    private let known: Mutex<[String: String]>

    init(path: String) throws {
        var lines: [String: String] = [:]
        let text = FileManager.default.fileExists(atPath: path) ? try String(contentsOfFile: path, encoding: .utf8) : ""
        // What a crash left without its end is not a line.
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            let parts = line.split(separator: "\t", maxSplits: 1)
            if parts.count == 2 { lines[String(parts[0])] = String(parts[1]) }
        }
        known = Mutex(lines)
        descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Failure("\(path) cannot be written.", next: "Give this user the right to write there.") }
        if !text.isEmpty, !text.hasSuffix("\n") { _ = write(descriptor, "\n", 1) }
    }

    deinit {
        close(descriptor)
    }

    var isComplete: Bool { self[DemoJournal.end] != nil }

    subscript(name: String) -> String? {
        known.withLock { $0[name] }
    }

    func record(_ name: String, _ id: String) {
        known.withLock { known in
            known[name] = id
            let line = "\(name)\t\(id)\n"
            _ = line.withCString { write(descriptor, $0, strlen($0)) }
        }
    }
}

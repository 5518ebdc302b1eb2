import Foundation

/// A temporary folder for a server of a test's own, and what runs programs for it.
///
/// Where this process is the superuser's, everything runs as the user `postgres`: such servers refuse to work for the superuser.
struct ServerFolder: Sendable {
    let path: String

    /// - Parameter name: what the folder's name begins with.
    init(_ name: String) throws {
        path = NSTemporaryDirectory() + "\(name)-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    func write(_ text: String, to name: String) throws {
        try text.write(toFile: "\(path)/\(name)", atomically: true, encoding: .utf8)
    }

    /// Lets the server have what was written.
    func handOver() throws {
        guard geteuid() == 0 else { return }
        try ServerFolder.wait(for: try ServerFolder.spawn(["chown", "-R", "postgres", path]), "chown")
    }

    /// Runs a program to its end, or until it has become a server in the background.
    func run(_ command: [String]) throws {
        let command = geteuid() == 0 ? ["runuser", "-u", "postgres", "--"] + command : command
        try ServerFolder.wait(for: try ServerFolder.spawn(command), command.joined(separator: " "))
    }

    /// Lets the server end with this process, however that ends: a shell that reads from a pipe of this process ends the server then,
    /// by its process id, and removes the folder.
    /// - Parameter processFile: in the folder, with the server's process id in its first line.
    func endWithThisProcess(_ processFile: String, signal: String) throws {
        // Its writing end stays open for as long as this process lives, and no other process has it.
        var life: [Int32] = [0, 0]
        guard pipe(&life) == 0, life.allSatisfy({ fcntl($0, F_SETFD, FD_CLOEXEC) == 0 }) else {
            throw ServerFailure("there is no pipe left")
        }
        defer { close(life[0]) }
        try ServerFolder.spawn(
            [
                "sh", "-c",
                """
                cat; process=$(head -n 1 "$0/$1" 2>/dev/null) && kill -s "$2" "$process"
                while kill -0 "$process" 2>/dev/null; do sleep 0.1; done; rm -rf "$0"
                """, path, processFile, signal,
            ], input: life[0])
    }

    private static func wait(for process: pid_t, _ name: String) throws {
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        guard status == 0 else { throw ServerFailure("\(name) ended with \(status)") }
    }

    /// Not with Foundation's `Process`, which takes a program for running as long as a server that it has started.
    @discardableResult
    private static func spawn(_ command: [String], input: Int32? = nil) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        for output in Int32(1)...2 { posix_spawn_file_actions_addopen(&actions, output, "/dev/null", O_WRONLY, 0) }
        // By what another thread has opened at this moment it may tell whether a program of its own still runs.
        for other in 3..<min(getdtablesize(), 4_096) { posix_spawn_file_actions_addclose(&actions, other) }
        // This thread may have been made by one that leaves signals to others; the server gets its own.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        let arguments = command.map { strdup($0) }
        defer { for argument in arguments { free(argument) } }
        var process: pid_t = 0
        let error = posix_spawnp(&process, command[0], &actions, &attributes, arguments + [nil], environ)
        guard error == 0 else { throw ServerFailure("\(command[0]) cannot be started (\(error))") }
        return process
    }
}

/// Why a test's server is not there.
package struct ServerFailure: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}

/// A program that takes its time would keep other tests from theirs.
func onItsOwnThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Swift.Result { try body() }) }
    }
}

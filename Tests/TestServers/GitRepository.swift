import Foundation

/// A git repository of a test's own, with a branch `main`.
package struct GitRepository: Sendable {
    package let path: String

    /// - Parameter files: of the first commit, by their paths.
    package static func make(_ files: [String: String]) async throws -> GitRepository {
        let repository = GitRepository(path: NSTemporaryDirectory() + "git-\(UUID().uuidString)")
        try FileManager.default.createDirectory(atPath: repository.path, withIntermediateDirectories: true)
        try await repository.git("init", "--quiet", "--initial-branch=main")
        try await repository.commit(files)
        return repository
    }

    /// - Returns: the commit's id.
    @discardableResult
    package func commit(_ files: [String: String]) async throws -> String {
        for (name, text) in files {
            let file = URL(filePath: "\(path)/\(name)")
            try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try text.write(to: file, atomically: true, encoding: .utf8)
        }
        try await git("add", "--all")
        try await git("commit", "--quiet", "--allow-empty", "--message=A change")
        return try await git("rev-parse", "HEAD")
    }

    /// - Returns: what it wrote, without the last line's end.
    @discardableResult
    package func git(_ arguments: String...) async throws -> String {
        try await onItsOwnThread { [path] in
            let process = Process()
            process.executableURL = URL(filePath: "/usr/bin/env")
            process.arguments = ["git", "-C", path, "-c", "user.name=Test", "-c", "user.email=test@example.org"] + arguments
            process.environment = ["PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": path, "GIT_CONFIG_GLOBAL": "/dev/null"]
            // Not a pipe: Foundation ends the process when a signal interrupts its reading.
            let file = "\(path).output-\(UUID().uuidString)"
            guard FileManager.default.createFile(atPath: file, contents: nil) else { throw ServerFailure("\(file) cannot be made") }
            defer { try? FileManager.default.removeItem(atPath: file) }
            let output = try FileHandle(forWritingTo: URL(filePath: file))
            process.standardOutput = output
            process.standardError = output
            try process.start()
            process.waitUntilExit()
            try output.close()
            let text = String(decoding: FileManager.default.contents(atPath: file) ?? Data(), as: UTF8.self)
            guard process.terminationStatus == 0 else { throw ServerFailure("git \(arguments.joined(separator: " ")): \(text)") }
            return text.hasSuffix("\n") ? String(text.dropLast()) : text
        }
    }

    package func remove() {
        try? FileManager.default.removeItem(atPath: path)
    }
}

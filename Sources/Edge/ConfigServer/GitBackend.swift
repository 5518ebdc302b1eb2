import Discovery
import Foundation
import Synchronization
import Values

/// A git repository: a bare clone in the server's folder, whose commits are read as they are. Nothing is ever checked out, so that
/// labels do not come into each other's way, and symbolic links are nothing but files that are left out.
final class GitBackend: Backend {
    private struct State {
        /// Commits by label: branches, and tags where there is no branch of that name. Nil before the clone was there.
        var labels: [String: String]?
        /// By commit. Trees are small; a few are in use at a time.
        var trees: [String: FileTree] = [:]
        /// By id. What is read once is read again by every application that has a part in it.
        var blobs: [String: [UInt8]] = [:]
        var blobBytes = 0
        /// When files were last changed, by commit and path.
        var changes: [String: Instant] = [:]
        var trouble: String?
    }

    let name: String
    let hasLabels = true
    private let remote: String
    private let program: GitProgram
    private let state = Mutex(State())
    private let refreshing = SharedWork<Changes>()
    /// Trees that are kept at most.
    private static let mostTrees = 64
    /// Of blobs, all together and each.
    private static let mostBytes = 32 << 20
    private static let largestBlob = 256 << 10
    private static let mostKnownChanges = 10_000

    /// - Parameter folder: of the clone; not yet made.
    init(_ remote: String, folder: String, configuration: ConfigServerConfiguration) {
        let program = GitProgram(
            folder: folder, timeLimit: configuration.gitTime, remote: remote, credentials: configuration.gitCredentials,
            sshKey: configuration.sshKey)
        name = remote.replacing(/\/\/[^\/@]*@/, with: "//")
        self.remote = remote
        self.program = program
    }

    var trouble: String? { state.withLock { $0.trouble } }
    var hasContents: Bool { state.withLock { $0.labels != nil } }

    func refresh() async throws -> Changes {
        try await refreshing.fresh { [self] in try await fetch() }
    }

    func tree(_ labels: [String]) async throws -> FileTree? {
        if !hasContents { _ = try await refresh() }
        for label in labels {
            guard let commit = try await commit(label) else { continue }
            let tree = try await tree(ofCommit: commit)
            return FileTree(label: label, version: tree.version, files: tree.files)
        }
        return nil
    }

    func contents(of path: String, in tree: FileTree) async throws -> [UInt8] {
        guard let file = tree.files[path] else { throw Problem.notFound("file") }
        return try await blob(file)
    }

    private func blob(_ file: FileTree.File) async throws -> [UInt8] {
        if let bytes = state.withLock({ $0.blobs[file.id] }) { return bytes }
        let bytes = try await program.run(["cat-file", "blob", file.id])
        guard bytes.count <= GitBackend.largestBlob else { return bytes }
        state.withLock { state in
            if state.blobBytes + bytes.count > GitBackend.mostBytes { (state.blobs, state.blobBytes) = ([:], 0) }
            if state.blobs.updateValue(bytes, forKey: file.id) == nil { state.blobBytes += bytes.count }
        }
        return bytes
    }

    func modified(_ path: String, in tree: FileTree) async throws -> Instant? {
        let key = "\(tree.version) \(path)"
        if let known = state.withLock({ $0.changes[key] }) { return known }
        let output = try await program.run(["log", "-1", "--format=%ct", tree.version, "--", ":(literal)\(path)"])
        guard let seconds = Int64(String(decoding: output, as: UTF8.self).trimming(\.isWhitespace)) else { return nil }
        state.withLock { state in
            if state.changes.count >= GitBackend.mostKnownChanges { state.changes = [:] }
            state.changes[key] = Instant(seconds: seconds)
        }
        return Instant(seconds: seconds)
    }

    /// Of a branch, a tag, or the beginning of its own id.
    private func commit(_ label: String) async throws -> String? {
        if let commit = state.withLock({ $0.labels?[label] }) { return commit }
        guard (7...40).contains(label.utf8.count), label.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) }) else {
            return nil
        }
        if state.withLock({ $0.trees[label] != nil }) { return label }
        guard let output = try? await program.run(["rev-parse", "--verify", "--quiet", "\(label)^{commit}"]) else {
            return nil
        }
        return String(decoding: output, as: UTF8.self).trimming(\.isWhitespace)
    }

    private func tree(ofCommit commit: String) async throws -> FileTree {
        if let tree = state.withLock({ $0.trees[commit] }) { return tree }
        let output = try await program.run(["ls-tree", "-r", "-z", "-l", "--full-tree", commit])
        var files: [String: FileTree.File] = [:]
        for line in output.split(separator: 0) {
            // MODE blob ID SIZE<tab>PATH
            guard let tab = line.firstIndex(of: 9), let path = String(validating: line[line.index(after: tab)...], as: UTF8.self) else {
                continue
            }
            let parts = line[..<tab].split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
            // Neither symbolic links (120000) nor other repositories (160000).
            guard parts.count == 4, parts[0].hasPrefix("100"), parts[1] == "blob", let size = Int(parts[3]) else { continue }
            files[path] = FileTree.File(id: parts[2], size: size)
        }
        let tree = FileTree(label: commit, version: commit, files: files)
        state.withLock { state in
            if state.trees.count >= GitBackend.mostTrees {
                let inUse = Set((state.labels ?? [:]).values)
                state.trees = state.trees.filter { inUse.contains($0.key) }
                if state.trees.count >= GitBackend.mostTrees { state.trees = [:] }
            }
            state.trees[commit] = tree
        }
        return tree
    }

    private func fetch() async throws -> Changes {
        do {
            if !FileManager.default.fileExists(atPath: "\(program.folder)/HEAD") {
                try FileManager.default.createDirectory(
                    atPath: program.folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
                _ = try await program.run(["init", "--quiet", "--bare", "--template="])
            } else if !hasContents {
                // What was cloned before is served at once, whatever becomes of the remote.
                try await readLabels()
            }
            _ = try await program.run(
                [
                    "fetch", "--quiet", "--prune", "--force", "--no-write-fetch-head", "--", remote, "+refs/heads/*:refs/heads/*",
                    "+refs/tags/*:refs/tags/*",
                ])
            let changes = try await readLabels()
            state.withLock { $0.trouble = nil }
            return changes
        } catch {
            state.withLock { $0.trouble = "\(error)" }
            throw error
        }
    }

    @discardableResult
    private func readLabels() async throws -> Changes {
        let output = try await program.run(["for-each-ref", "--format=%(objectname) %(*objectname) %(refname)"])
        var labels: [String: String] = [:]
        for line in String(decoding: output, as: UTF8.self).split(separator: "\n") {
            // An annotated tag has the id of its commit in the second column, which is empty otherwise.
            let parts = line.split(separator: " ", omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let commit = String(parts[1].isEmpty ? parts[0] : parts[1])
            if parts[2].hasPrefix("refs/heads/") {
                labels[String(parts[2].dropFirst("refs/heads/".count))] = commit
            } else if parts[2].hasPrefix("refs/tags/") {
                let tag = String(parts[2].dropFirst("refs/tags/".count))
                if labels[tag] == nil { labels[tag] = commit }
            }
        }
        let (before, trees) = state.withLock { state in (state.labels, state.trees) }
        guard let before else {
            // Nobody has read anything, and nothing can have changed for anybody.
            if !labels.isEmpty { state.withLock { $0.labels = labels } }
            return .none
        }
        var changes = Changes.none
        for (label, commit) in labels {
            guard let old = before[label], old != commit else { continue }
            // Of what was never read nobody needs to hear.
            guard let oldTree = trees[old] else { continue }
            let newTree = try await tree(ofCommit: commit)
            let paths = newTree.changes(since: oldTree)
            // Whoever hears of the change asks at once, and all together.
            try await withThrowingTaskGroup(of: Void.self) { group in
                for file in paths.prefix(32).compactMap({ newTree.files[$0] }) where file.size <= GitBackend.largestBlob {
                    group.addTask { _ = try await self.blob(file) }
                }
                try await group.waitForAll()
            }
            changes.add(.paths(paths))
        }
        state.withLock { $0.labels = labels }
        return changes
    }
}

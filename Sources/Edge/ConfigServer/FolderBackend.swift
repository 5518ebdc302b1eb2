import Crypto
import Discovery
import Foundation
import Glibc
import NIOPosix
import Synchronization
import Values

/// A folder of this machine. It is looked through on every refresh; what was seen then is what is served. Links are followed only
/// where they end inside of it. One without any file is not what is meant, and rather a place where nothing was mounted.
final class FolderBackend: Backend {
    private struct State {
        var tree: FileTree?
        var trouble: String?
    }

    let name: String
    let hasLabels = false
    private let folder: String
    private let state = Mutex(State())
    private static let mostFiles = 10_000
    private static let deepest = 16

    init(_ folder: String) {
        name = "file:\(folder)"
        self.folder = folder
    }

    var trouble: String? { state.withLock { $0.trouble } }
    var hasContents: Bool { state.withLock { $0.tree != nil } }

    func tree(_ labels: [String]) async throws -> FileTree? {
        if !hasContents { _ = try await refresh() }
        guard let tree = state.withLock({ $0.tree }), let label = labels.first else { return nil }
        return FileTree(label: label, version: tree.version, files: tree.files)
    }

    func refresh() async throws -> Changes {
        do {
            let tree = try await onThread { [folder] in try FolderBackend.scan(folder) }
            return state.withLock { state in
                let changes = state.tree.map { Changes.paths(tree.changes(since: $0)) } ?? .none
                state.tree = tree
                state.trouble = nil
                return changes
            }
        } catch {
            state.withLock { $0.trouble = "\(error)" }
            throw error
        }
    }

    func contents(of path: String, in tree: FileTree) async throws -> [UInt8] {
        guard let file = tree.files[path] else { throw Problem.notFound("file") }
        return try await onThread { [folder] in try FolderBackend.read(file.place, in: FolderBackend.resolved(folder)) }
    }

    func modified(_ path: String, in tree: FileTree) async throws -> Instant? {
        tree.files[path].flatMap { Int64($0.id.split(separator: "\n")[1]) }.map { Instant(microseconds: $0) }
    }

    private func onThread<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await NIOThreadPool.singleton.runIfActive(work)
    }

    // MARK: On a thread

    private struct Unreadable: Error, CustomStringConvertible {
        let description: String
    }

    private static func resolved(_ path: String) throws -> String {
        guard let real = realpath(path, nil) else {
            throw Unreadable(description: "\(path) cannot be read: \(String(cString: strerror(errno)))")
        }
        defer { free(real) }
        return String(cString: real)
    }

    private static func scan(_ folder: String) throws -> FileTree {
        let top = try resolved(folder)
        var files: [String: FileTree.File] = [:]
        var waiting: [(path: String, depth: Int)] = [("", 0)]
        while let (path, depth) = waiting.popLast() {
            for name in try FileManager.default.contentsOfDirectory(atPath: path.isEmpty ? top : "\(top)/\(path)") {
                // `.git`, and the folders behind the links with which Kubernetes exchanges all files at once.
                guard !name.hasPrefix(".") else { continue }
                let inner = path.isEmpty ? name : "\(path)/\(name)"
                var status = stat()
                guard let place = try? resolved("\(top)/\(inner)"), place.hasPrefix("\(top)/"), lstat(place, &status) == 0 else { continue }
                switch status.st_mode & S_IFMT {
                case S_IFDIR where place == "\(top)/\(inner)" && depth < deepest: waiting.append((inner, depth + 1))
                case S_IFREG:
                    let modified = Int64(status.st_mtim.tv_sec) * 1_000_000 + Int64(status.st_mtim.tv_nsec) / 1_000
                    let id = "\(place.dropFirst(top.count + 1))\n\(modified)\n\(status.st_ino)"
                    files[inner] = FileTree.File(id: id, size: Int(status.st_size))
                default: continue
                }
                guard files.count <= mostFiles else { throw Unreadable(description: "\(folder) has more than \(mostFiles) files") }
            }
        }
        guard !files.isEmpty else { throw Unreadable(description: "\(folder) has no files") }
        var hash = SHA256()
        for (path, file) in files.sorted(by: { $0.key < $1.key }) { hash.update(data: Data("\(path)\n\(file.id)\n\(file.size)\n\n".utf8)) }
        let version = hex(of: hash.finalize().prefix(20))
        return FileTree(label: "", version: version, files: files)
    }

    /// Opens folder by folder and follows no link: one may have been put there since the scan.
    private static func read(_ place: String, in top: String) throws -> [UInt8] {
        var descriptor = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        let components = place.split(separator: "/")
        for (index, component) in components.enumerated() where descriptor >= 0 {
            let kind = index == components.count - 1 ? O_NONBLOCK : O_DIRECTORY
            let next = openat(descriptor, String(component), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | kind)
            close(descriptor)
            descriptor = next
        }
        guard descriptor >= 0 else { throw Unreadable(description: "\(place) is no longer there") }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(descriptor, &piece, piece.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Unreadable(description: "\(place) cannot be read: \(String(cString: strerror(errno)))") }
            guard count > 0 else { return bytes }
            bytes += piece[..<count]
        }
    }
}

extension FileTree.File {
    /// Of a folder: where it is, from the top.
    fileprivate var place: String { String(id.prefix { $0 != "\n" }) }
}

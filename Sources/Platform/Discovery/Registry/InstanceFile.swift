import FoundationEssentials
import NIOPosix
import Values

/// The last known instances on disk, so that a process finds its peers while no registry answers.
struct InstanceFile: Sendable {
    let path: String

    /// Nothing where there is no file, or none that can be read: it only helps.
    func read() -> [String: [Instance]] {
        guard let data = FileManager.default.contents(atPath: path),
            let texts = try? JSON.value([String: [String]].self, from: Array(data))
        else { return [:] }
        return texts.mapValues { $0.compactMap { Instance($0) } }
    }

    /// Replaces the file at once, also beside other processes that do. Where an application has no instances any more its last ones stay:
    /// a whole system that stops leaves one after the other, and they are the best guess for its next start.
    func write(_ instances: [String: [Instance]]) async throws {
        try await NIOThreadPool.singleton.runIfActive {
            let all = read().merging(instances) { $1 }
            let data = Data(try JSON.bytes(of: all.mapValues { $0.map(\.address) }))
            let folder = path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            try data.write(to: URL(filePath: path), options: .atomic)
        }
    }
}

import Foundation
import NIOPosix
import Values

/// The settings that came last, on disk, so that a process starts while no server answers. They hold secrets: mode 0600.
struct LastGoodCopy: Sendable {
    private struct Copy: Codable {
        /// Other settings than those that are asked for now are none at all.
        let question: String
        let fetched: [String: RemoteClient.Fetched]
    }

    let folder: String
    let address: RemoteAddress

    private var path: String { "\(folder)/settings-\(address.applications.joined(separator: "+").prefix(120)).json" }

    /// Nil where there is none that can be used.
    func read() async -> [String: RemoteClient.Fetched]? {
        let (path, question) = (path, address.question)
        return try? await NIOThreadPool.singleton.runIfActive {
            guard let data = FileManager.default.contents(atPath: path),
                let copy = try? JSON.value(Copy.self, from: [UInt8](data)), copy.question == question
            else { return nil }
            return copy.fetched
        }
    }

    func write(_ fetched: [String: RemoteClient.Fetched]) async throws {
        let bytes = try JSON.bytes(of: Copy(question: address.question, fetched: fetched))
        let (folder, path) = (folder, path)
        try await NIOThreadPool.singleton.runIfActive {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            // Several instances may write at once; each file that can be seen is whole.
            let temporary = "\(path).\(UUID().uuidString)"
            guard FileManager.default.createFile(atPath: temporary, contents: Data(bytes), attributes: [.posixPermissions: 0o600]) else {
                throw CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: temporary])
            }
            guard rename(temporary, path) == 0 else {
                unlink(temporary)
                throw CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: path])
            }
        }
    }
}

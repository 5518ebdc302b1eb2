import Foundation
import Mail
import TestServers
import Values

/// A mail as the server's side reads it.
struct ReceivedMail: Decodable, Sendable {
    struct Attachment: Decodable, Sendable {
        let fileName: String
        let contentType: String
        let disposition: String
        let contentID: String?
        let data: Data
    }

    let peer: Int
    let isEncrypted: Bool
    let isAuthenticated: Bool
    let sender: String
    let recipients: [String]
    let fromName: String
    let fromAddress: String
    let toName: String
    let toAddress: String
    let subject: String
    let date: String
    let messageID: String
    let headers: [String: String]
    let structure: String
    let text: String?
    let html: String?
    let attachments: [Attachment]
    let defects: [String]
    let longestLine: Int
    let isSevenBit: Bool
    let hasBareLineEnd: Bool
}

/// `smtp_server.py` as a process of its own, for the length of a test.
actor SMTPServer {
    enum Mode: String, Sendable {
        case plain, tls, auth, refusing, greylisting, slow, stalling, sulking, dying, closed
        case startTLS = "starttls"
        case hangingUp = "hanging-up"
        case refusingContent = "refusing-content"
    }

    enum Failure: Error {
        /// `make test` makes `.venv` from `Tests/requirements.txt`.
        case noPython(String)
        case ended
    }

    private let directory: URL
    private let output: FileHandle
    private var unread = Data()
    private var port = 0

    private init(directory: URL, output: FileHandle) {
        self.directory = directory
        self.output = output
    }

    static func with<T>(_ mode: Mode, _ body: (SMTPServer) async throws -> sending T) async throws -> sending T {
        let here = URL(filePath: #filePath).deletingLastPathComponent()
        // Not `standardizedFileURL`, which follows the link to the system's Python and so out of the environment.
        let python = here.deletingLastPathComponent().deletingLastPathComponent().appending(path: ".venv/bin/python")
        guard FileManager.default.isExecutableFile(atPath: python.path) else { throw Failure.noPython(python.path) }
        let directory = FileManager.default.temporaryDirectory.appending(path: "smtp-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let (input, output) = (Pipe(), Pipe())
        let process = Process()
        process.executableURL = python
        process.arguments = [here.appending(path: "smtp_server.py").path, mode.rawValue]
        if mode == .tls || mode == .startTLS {
            try Certificate.make(in: directory.path, for: "IP:127.0.0.1")
            process.arguments! += [
                "--certificate", directory.appending(path: "certificate.pem").path,
                "--key", directory.appending(path: "key.pem").path,
            ]
        }
        process.standardInput = input
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.start()
        // Its standard input ends, and so does it.
        defer { try? input.fileHandleForWriting.close() }
        let server = SMTPServer(directory: directory, output: output.fileHandleForReading)
        try await server.readPort()
        return try await body(server)
    }

    func settings(_ security: SMTPSettings.Security = .none) -> SMTPSettings {
        SMTPSettings(
            host: "127.0.0.1", port: port, security: security,
            caFile: directory.appending(path: "certificate.pem").path, timeout: .seconds(20))
    }

    /// The next mail that the server has taken.
    func nextMail() async throws -> ReceivedMail {
        try await JSONDecoder().decode(ReceivedMail.self, from: nextLine())
    }

    private func readPort() async throws {
        port = Int(String(decoding: try await nextLine(), as: UTF8.self)) ?? 0
    }

    private func nextLine() async throws -> Data {
        while true {
            if let end = unread.firstIndex(of: 10) {
                defer { unread = Data(unread[(end + 1)...]) }
                return Data(unread[..<end])
            }
            let output = output
            let read = await withCheckedContinuation { continuation in
                DispatchQueue.global().async { continuation.resume(returning: output.availableData) }
            }
            guard !read.isEmpty else { throw Failure.ended }
            unread += read
        }
    }
}

import Foundation
import Glibc
import TestServers
import Testing
import Values

@testable import ConfigServer

@Suite struct GitProgramTests {
    @Test func `what git has started ends with it when its time is over`() async throws {
        // The connection of git's own helper waits here for an answer that never comes.
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        defer { close(descriptor) }
        let remote = "http://127.0.0.1:\(try Ports.bound(descriptor))/x.git"
        try #require(listen(descriptor, 8) == 0)
        let folder = NSTemporaryDirectory() + "git-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        func program(_ limit: TimeSpan) -> GitProgram {
            GitProgram(folder: folder, timeLimit: limit, remote: remote, credentials: nil, sshKey: nil)
        }
        _ = try await program(.seconds(60)).run(["init", "--quiet", "--bare", "--template="])
        // Long enough for it to connect on a busy machine.
        await #expect(throws: GitProgram.Failure.self) { try await program(.seconds(10)).run(["fetch", "--quiet", remote]) }
        let connection = accept(descriptor, nil, nil)
        try #require(connection >= 0)
        defer { close(connection) }
        try await eventually("the connection is closed", within: .seconds(30)) {
            var bytes = [UInt8](repeating: 0, count: 4_096)
            let count = recv(connection, &bytes, bytes.count, Int32(MSG_DONTWAIT))
            return count == 0 || (count < 0 && errno == ECONNRESET)
        }
    }
}

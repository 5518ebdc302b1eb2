import Foundation
import Glibc

/// A connection that sends what it is told to, whether that is HTTP or not. Blocks, and so runs on a thread of its own.
struct RawConnection: Sendable {
    struct Failure: Error {}

    private let descriptor: Int32

    /// Sends all, and reads until the other end closes, or says nothing for as long as `silence`.
    /// - Returns: what came, and whether the other end has closed.
    static func exchange(
        _ pieces: [[UInt8]], port: Int, pause: Duration = .zero, silence: Duration = .seconds(3)
    ) async throws -> (text: String, isClosed: Bool) {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(
                    with: Result {
                        let connection = try RawConnection(port: port)
                        defer { Glibc.close(connection.descriptor) }
                        for piece in pieces {
                            guard connection.send(piece) else { break }
                            if pause > .zero {
                                usleep(UInt32(pause.components.attoseconds / 1_000_000_000_000 + pause.components.seconds * 1_000_000))
                            }
                        }
                        return connection.receive(silence: silence)
                    })
            }
        }
    }

    static func exchange(_ text: String, port: Int, silence: Duration = .seconds(3)) async throws -> (text: String, isClosed: Bool) {
        try await exchange([Array(text.utf8)], port: port, silence: silence)
    }

    private init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else {
            close(descriptor)
            throw Failure()
        }
    }

    private func send(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    private func receive(silence: Duration) -> (String, Bool) {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            var state = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let wait = Int32(silence.components.seconds * 1_000 + silence.components.attoseconds / 1_000_000_000_000_000)
            guard poll(&state, 1, wait) > 0 else { return (String(decoding: bytes, as: UTF8.self), false) }
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { return (String(decoding: bytes, as: UTF8.self), true) }
            bytes += buffer[..<count]
        }
    }
}

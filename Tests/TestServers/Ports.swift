import Glibc
import Synchronization

/// Ports of the loopback interface.
package enum Ports {
    /// Ports that nothing listens on, at least a moment ago.
    package static func free(_ count: Int) throws -> [Int] {
        let sockets = (0..<count).map { _ in socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) }
        defer { for socket in sockets { close(socket) } }
        return try sockets.map { try bound($0) }
    }

    package static func free() throws -> Int {
        try free(1)[0]
    }

    /// Ports that nothing listens on, and that the system gives to no connection by itself: they stay free until they are taken, also
    /// while a server is down and its clients try again and again. One of the system's own choice could become a client's, who would then
    /// be connected with itself.
    package static func lasting(_ count: Int) throws -> [Int] {
        try given.withLock { given in
            var ports: [Int] = []
            for port in (20_000..<32_000).shuffled() where !given.contains(port) {
                if isFree(port) { ports.append(port) }
                if ports.count == count {
                    given.formUnion(ports)
                    return ports
                }
            }
            throw ServerFailure("there are no \(count) free ports")
        }
    }

    /// Ports that were given to a test of this process.
    private static let given = Mutex(Set<Int>())

    /// Whether nobody listens there.
    /// - Parameter reuse: whether connections that have just ended there do not matter, as to a server.
    package static func isFree(_ port: Int, reuse: Bool = false) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var option: Int32 = reuse ? 1 : 0
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &option, socklen_t(MemoryLayout<Int32>.size))
        var address = loopback(port: port)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    /// Gives a socket a port of the system's choice.
    package static func bound(_ socket: Int32) throws -> Int {
        var address = loopback(port: 0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(socket, generic, length) == 0 ? getsockname(socket, generic, &length) : -1
            }
        }
        guard code == 0 else { throw ServerFailure("there is no free port") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    static func loopback(port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
        return address
    }
}

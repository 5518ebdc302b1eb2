import Glibc
import NIOCore
import NIOPosix

/// What keeps this process from opening a connection and is no fault of the other end: no file descriptor, port or memory is left.
package enum LocalTrouble {
    private static let codes: Set<CInt> = [EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL, EADDRINUSE]

    package static func isCause(of error: any Error) -> Bool {
        switch error {
        case let error as IOError: codes.contains(error.errnoCode)
        // A name is tried at several addresses.
        case let error as NIOConnectionError: error.connectionErrors.contains { isCause(of: $0.error) }
        default: false
        }
    }
}

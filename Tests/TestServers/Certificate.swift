import Foundation

/// A certificate that is its own authority, as a test's server shows it.
package enum Certificate {
    package struct Failure: Error, CustomStringConvertible {
        package let description = "openssl makes no certificate"
    }

    /// Makes `certificate.pem` and `key.pem`.
    /// - Parameter names: what it is for, such as `DNS:localhost` or `IP:127.0.0.1`.
    package static func make(in folder: String, for names: String) throws {
        let openssl = Process()
        openssl.executableURL = URL(filePath: "/usr/bin/openssl")
        openssl.arguments = [
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-keyout", "\(folder)/key.pem", "-out", "\(folder)/certificate.pem", "-subj", "/CN=server.test",
            "-addext", "subjectAltName=\(names)",
        ]
        openssl.standardError = FileHandle.nullDevice
        try openssl.start()
        openssl.waitUntilExit()
        guard openssl.terminationStatus == 0 else { throw Failure() }
    }
}

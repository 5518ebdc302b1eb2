import Glibc
package import Logging
import NIOSSL
import Synchronization

/// A certificate and its key, in PEM files that may be replaced while the gateway runs: connections that come later get the new one.
package final class ServerCertificate: Sendable {
    /// When one of the files was changed the last time; nil where it cannot be read.
    private struct Stamp: Hashable {
        let certificate: Int?
        let key: Int?
    }

    private let certificate: String
    private let key: String
    private let logger: Logger
    private let state: Mutex<(context: NIOSSLContext, stamp: Stamp)>

    /// Throws where the files are no certificate and its key.
    package init(certificate: String, key: String, logger: Logger) throws {
        self.certificate = certificate
        self.key = key
        self.logger = logger
        let stamp = ServerCertificate.stamp(certificate, key)
        state = Mutex((try ServerCertificate.context(certificate, key), stamp))
    }

    var context: NIOSSLContext { state.withLock { $0.context } }

    /// Takes the files anew where they have changed. Files that cannot be used change nothing, and are told of once.
    func refresh() {
        let stamp = ServerCertificate.stamp(certificate, key)
        guard state.withLock({ $0.stamp }) != stamp else { return }
        do {
            let context = try ServerCertificate.context(certificate, key)
            state.withLock { $0 = (context, stamp) }
            logger.notice("the certificate was replaced", metadata: ["file": "\(certificate)"])
        } catch {
            state.withLock { $0.stamp = stamp }
            logger.error(
                "the new certificate cannot be used; the old one stays", metadata: ["file": "\(certificate)", "error": "\(error)"])
        }
    }

    private static func context(_ certificate: String, _ key: String) throws -> NIOSSLContext {
        let chain = try NIOSSLCertificate.fromPEMFile(certificate).map { NIOSSLCertificateSource.certificate($0) }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain, privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem)))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["h2", "http/1.1"]
        return try NIOSSLContext(configuration: configuration)
    }

    private static func stamp(_ certificate: String, _ key: String) -> Stamp {
        Stamp(certificate: changed(certificate), key: changed(key))
    }

    private static func changed(_ path: String) -> Int? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return status.st_mtim.tv_sec * 1_000_000_000 + status.st_mtim.tv_nsec ^ Int(status.st_ino)
    }
}

import Contracts
import Crypto
import Discovery
import Foundation
import ServiceKit

/// What services prove who they are with: a secret each, in the file `service-<name>` of the secrets' folder.
struct ServiceSecrets: Sendable {
    private let hashes: [ServiceName: SHA256Digest]

    init(_ secrets: Secrets) throws {
        var hashes: [ServiceName: SHA256Digest] = [:]
        for service in Scope.granted.keys {
            hashes[service] = SHA256.hash(data: Data(try secrets.findOrMake("service-\(service)")))
        }
        self.hashes = hashes
    }

    /// The service that these credentials are of. Digests are compared in constant time, for names that nobody has as well.
    func service(of credentials: ServiceCredentials) -> ServiceName? {
        let name = ServiceName(credentials.service)
        let given = SHA256.hash(data: Data(base64Encoded: credentials.secret) ?? Data())
        let expected = hashes[name] ?? SHA256.hash(data: Data(ServiceSecrets.nobody))
        return given == expected && hashes[name] != nil ? name : nil
    }

    private static let nobody = Secrets.randomKey()
}

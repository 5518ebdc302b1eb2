import Crypto
import Foundation
import JWTKit
import ServiceKit

/// The key pair that access tokens are signed with (ES256).
struct SigningKey: Sendable {
    /// The name of the secret: the 32 bytes of the private key.
    static let secret = "jwt-signing-key"

    let publicKey: PublicKey
    private let privateKey: ES256PrivateKey

    /// The public half, as it stands in a JWKS document (RFC 7517).
    struct PublicKey: Encodable, Hashable, Sendable {
        let kty = "EC"
        let crv = "P-256"
        let alg = "ES256"
        let use = "sig"
        let kid: String
        let x: String
        let y: String
    }

    /// The key of this installation; made at the first start.
    init(_ secrets: Secrets) throws {
        try self.init(
            rawRepresentation: try secrets.findOrMake(SigningKey.secret) {
                Array(P256.Signing.PrivateKey().rawRepresentation)
            })
    }

    init(rawRepresentation: [UInt8]) throws {
        let key = try P256.Signing.PrivateKey(rawRepresentation: rawRepresentation)
        privateKey = try ES256PrivateKey(backing: key)
        let point = Array(key.publicKey.rawRepresentation)
        let (x, y) = (Data(point.prefix(32)).base64URL, Data(point.suffix(32)).base64URL)
        // The thumbprint of RFC 7638: the same key has the same id on every instance, and another key has another.
        let thumbprint = SHA256.hash(data: Data(#"{"crv":"P-256","kty":"EC","x":"\#(x)","y":"\#(y)"}"#.utf8))
        publicKey = PublicKey(kid: Data(thumbprint).base64URL, x: x, y: y)
    }

    func sign(_ claims: AccessClaims) async throws -> String {
        let kid = JWKIdentifier(string: publicKey.kid)
        return try await JWTKeyCollection().add(ecdsa: privateKey, kid: kid).sign(claims, kid: kid)
    }
}

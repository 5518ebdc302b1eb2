import Contracts
import Crypto
import Foundation
import Values

/// What a door reads: ticket, event and version, signed with Ed25519, so that it is verified offline with the public key alone.
///
/// `TF1` and then, in Crockford's base 32 (digits and capitals, the compact mode of a QR code): key id (4 bytes), ticket (16),
/// event (16), code version (2, big-endian), signature over all before it with the `TF1` in front (64).
struct TicketCode: Hashable, Sendable {
    let ticket: TicketID
    let event: EventID
    let version: Int64
    let keyID: [UInt8]
    private let signature: [UInt8]

    private static let head = "TF1"
    private static let bodyLength = 38

    init(ticket: TicketID, event: EventID, version: Int64, keyID: [UInt8], sign: ([UInt8]) throws -> [UInt8]) rethrows {
        self.ticket = ticket
        self.event = event
        self.version = version
        self.keyID = keyID
        signature = try sign(TicketCode.signed(keyID, ticket, event, version))
    }

    /// Nil for anything that is not such a code. The signature is not verified here.
    init?(_ text: String) {
        guard text.hasPrefix(TicketCode.head), text.utf8.count < 200,
            let bytes = CrockfordBase32.decode(String(text.dropFirst(TicketCode.head.count))),
            bytes.count == TicketCode.bodyLength + 64,
            let ticket = TicketID(bytes: bytes[4..<20]), let event = EventID(bytes: bytes[20..<36])
        else { return nil }
        self.ticket = ticket
        self.event = event
        version = Int64(bytes[36]) << 8 | Int64(bytes[37])
        keyID = Array(bytes.prefix(4))
        signature = Array(bytes.suffix(64))
    }

    var text: String {
        TicketCode.head
            + CrockfordBase32.encode(TicketCode.body(keyID, ticket, event, version) + signature, uppercase: true)
    }

    func isSigned(by key: Curve25519.Signing.PublicKey) -> Bool {
        key.isValidSignature(signature, for: TicketCode.signed(keyID, ticket, event, version))
    }

    private static func body(_ keyID: [UInt8], _ ticket: TicketID, _ event: EventID, _ version: Int64) -> [UInt8] {
        keyID + ticket.bytes + event.bytes + [UInt8(truncatingIfNeeded: version >> 8), UInt8(truncatingIfNeeded: version)]
    }

    private static func signed(_ keyID: [UInt8], _ ticket: TicketID, _ event: EventID, _ version: Int64) -> [UInt8] {
        Array(head.utf8) + body(keyID, ticket, event, version)
    }
}

/// Signs codes.
struct TicketSigner: Sendable {
    private let key: Curve25519.Signing.PrivateKey
    private let keyID: [UInt8]

    /// - Parameter privateKey: 32 bytes.
    init(privateKey: [UInt8]) throws {
        key = try Curve25519.Signing.PrivateKey(rawRepresentation: privateKey)
        keyID = Array(SHA256.hash(data: key.publicKey.rawRepresentation).prefix(4))
    }

    func code(for ticket: TicketID, of event: EventID, version: Int64) throws -> String {
        try TicketCode(ticket: ticket, event: event, version: version, keyID: keyID) { bytes in
            Array(try key.signature(for: bytes))
        }.text
    }

    var publicKey: TicketKey {
        TicketKey(
            keyId: keyID.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined(), algorithm: "Ed25519",
            publicKey: key.publicKey.rawRepresentation.base64EncodedString())
    }
}

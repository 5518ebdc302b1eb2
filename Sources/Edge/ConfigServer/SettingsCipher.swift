import Crypto
import CryptoExtras
import Discovery
import Foundation

/// Encrypts single values, which then stand in files as `{cipher}...`.
///
/// With a text as symmetric key and with an RSA key the formats are those of Spring Security's `Encryptors.standard` and
/// `RsaSecretEncryptor`, so that values move between both; the format for a P-256 key is our own (docs/decisions/0027).
enum SettingsCipher: Sendable {
    static let prefix = "{cipher}"

    case symmetric(PasswordCipher)
    /// The key in DER: its type cannot be shared between threads.
    case rsa(Data, salt: [UInt8])
    case p256(P256.KeyAgreement.PrivateKey)

    struct Unreadable: Error {}

    /// - Parameters:
    ///   - key: a private key in PEM, or any other text.
    ///   - salt: hexadecimal digits.
    init(key: String, salt: String) throws {
        guard let salt = bytes(ofHex: salt) else {
            throw Problem.badRequest("The setting configServer.encrypt.salt must have hexadecimal digits, two for each byte.")
        }
        // An environment variable may hold a PEM document in one line.
        let key = key.replacing("\\n", with: "\n")
        guard key.contains("-----BEGIN ") else {
            self = .symmetric(try PasswordCipher(password: Array(key.utf8), salt: salt))
            return
        }
        if let key = try? P256.KeyAgreement.PrivateKey(pemRepresentation: key) {
            self = .p256(key)
        } else if let key = try? _RSA.Encryption.PrivateKey(pemRepresentation: key) {
            self = .rsa(key.derRepresentation, salt: salt)
        } else {
            throw Problem.badRequest(
                "The setting configServer.encrypt.key is no private key that can be used: RSA of at least 2048 bits, or P-256, in PEM, without a passphrase."
            )
        }
    }

    /// In PEM; nil of a symmetric key.
    var publicKey: String? {
        switch self {
        case .symmetric: nil
        case .rsa(let key, _): try? _RSA.Encryption.PrivateKey(derRepresentation: key).publicKey.pemRepresentation
        case .p256(let key): key.publicKey.pemRepresentation
        }
    }

    func encrypt(_ text: String) throws -> String {
        let plain = Array(text.utf8)
        switch self {
        case .symmetric(let cipher): return hex(of: try cipher.encrypt(plain))
        case .rsa(let key, let salt):
            let random = SymmetricKey(size: .bits128).withUnsafeBytes { Array($0) }
            let secret = try _RSA.Encryption.PrivateKey(derRepresentation: key).publicKey.encrypt(
                Data(random), padding: ._WEAK_AND_INSECURE_PKCS_V1_5)
            let inner = try PasswordCipher(password: Array(hex(of: random).utf8), salt: salt)
            let length = [UInt8(secret.count >> 8), UInt8(secret.count & 255)]
            return (Data(length) + secret + Data(try inner.encrypt(plain))).base64EncodedString()
        case .p256(let key):
            let ephemeral = P256.KeyAgreement.PrivateKey()
            let sealed = try AES.GCM.seal(
                Data(plain), using: SettingsCipher.agreed(ephemeral, key.publicKey, ephemeral: ephemeral.publicKey))
            guard let combined = sealed.combined else { throw Unreadable() }
            return (ephemeral.publicKey.x963Representation + combined).base64EncodedString()
        }
    }

    /// Throws `Unreadable` for what was not encrypted with this key.
    func decrypt(_ text: String) throws -> String {
        do {
            let plain: [UInt8]
            switch self {
            case .symmetric(let cipher):
                guard let encrypted = bytes(ofHex: text) else { throw Unreadable() }
                plain = try cipher.decrypt(encrypted)
            case .rsa(let key, let salt):
                guard let data = Data(base64Encoded: text).map({ [UInt8]($0) }), data.count > 2 else { throw Unreadable() }
                let length = Int(data[0]) << 8 | Int(data[1])
                guard length > 0, data.count > 2 + length else { throw Unreadable() }
                let random = [UInt8](
                    try _RSA.Encryption.PrivateKey(derRepresentation: key).decrypt(
                        Data(data[2..<(2 + length)]), padding: ._WEAK_AND_INSECURE_PKCS_V1_5))
                plain = try PasswordCipher(password: Array(hex(of: random).utf8), salt: salt).decrypt(Array(data[(2 + length)...]))
            case .p256(let key):
                guard let data = Data(base64Encoded: text), data.count > SettingsCipher.pointSize else { throw Unreadable() }
                let ephemeral = try P256.KeyAgreement.PublicKey(x963Representation: data.prefix(SettingsCipher.pointSize))
                plain = [UInt8](
                    try AES.GCM.open(
                        AES.GCM.SealedBox(combined: data.dropFirst(SettingsCipher.pointSize)),
                        using: SettingsCipher.agreed(key, ephemeral, ephemeral: ephemeral)))
            }
            guard let result = String(validating: plain, as: UTF8.self) else { throw Unreadable() }
            return result
        } catch {
            throw Unreadable()
        }
    }

    /// Of a point in X9.63, uncompressed.
    private static let pointSize = 65

    private static func agreed(
        _ own: P256.KeyAgreement.PrivateKey, _ other: P256.KeyAgreement.PublicKey, ephemeral: P256.KeyAgreement.PublicKey
    ) throws -> SymmetricKey {
        try own.sharedSecretFromKeyAgreement(with: other).hkdfDerivedSymmetricKey(
            using: SHA256.self, salt: ephemeral.x963Representation, sharedInfo: Data("ticketflow config-server 1".utf8),
            outputByteCount: 32)
    }
}

/// AES-256 in CBC mode with a random initialisation vector in front, under a key that PBKDF2 makes of a password (HMAC-SHA-1, 1,024 rounds).
struct PasswordCipher: Sendable {
    private let key: SymmetricKey

    init(password: [UInt8], salt: [UInt8]) throws {
        key = try KDF.Insecure.PBKDF2.deriveKey(
            from: password, salt: salt, using: .insecureSHA1, outputByteCount: 32, unsafeUncheckedRounds: 1_024)
    }

    func encrypt(_ plain: [UInt8]) throws -> [UInt8] {
        let vector = AES._CBC.IV()
        return Array(vector) + [UInt8](try AES._CBC.encrypt(plain, using: key, iv: vector))
    }

    func decrypt(_ encrypted: [UInt8]) throws -> [UInt8] {
        guard encrypted.count >= 32, encrypted.count % 16 == 0 else { throw SettingsCipher.Unreadable() }
        return [UInt8](try AES._CBC.decrypt(encrypted[16...], using: key, iv: AES._CBC.IV(ivBytes: encrypted[..<16])))
    }
}

func hex(of bytes: some Sequence<UInt8>) -> String {
    bytes.map { String(UInt16($0) + 256, radix: 16).dropFirst() }.joined()
}

private func bytes(ofHex text: String) -> [UInt8]? {
    let digits = Array(text.utf8)
    guard digits.count % 2 == 0 else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(digits.count / 2)
    for index in stride(from: 0, to: digits.count, by: 2) {
        guard let byte = UInt8(String(decoding: digits[index..<(index + 2)], as: UTF8.self), radix: 16) else { return nil }
        bytes.append(byte)
    }
    return bytes
}

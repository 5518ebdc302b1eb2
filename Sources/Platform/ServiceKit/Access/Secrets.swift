import Crypto
import Discovery
import Foundation

/// What must not be known: keys and passwords, each a file of mode 0600 in one folder, made on first use.
package struct Secrets: Sendable {
    /// How many bytes a secret has at least. One of fewer was cut off when it was copied, and could be guessed.
    private static let least = 32

    private let folder: String

    package init(folder: String) throws {
        self.folder = folder
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    /// The secret of this name, or nil where it was not made yet.
    package func find(_ name: String) throws -> [UInt8]? {
        guard let text = try? String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8) else { return nil }
        guard let data = Data(base64Encoded: text.trimmingCharacters(in: .whitespacesAndNewlines)), data.count >= Secrets.least else {
            throw Problem.badRequest(
                "\(folder)/\(name) is not whole: it must be base64 of at least \(Secrets.least) bytes; restore it from a backup")
        }
        return [UInt8](data)
    }

    /// The secret of this name; made by `make` and written durably if it is not there. Of several processes that make it at once all
    /// get the same.
    package func findOrMake(_ name: String, _ make: () -> [UInt8] = Secrets.randomKey) throws -> [UInt8] {
        if let secret = try find(name) { return secret }
        let secret = make()
        let path = "\(folder)/\(name)"
        let temporary = "\(path).\(UUID().uuidString)"
        guard
            FileManager.default.createFile(
                atPath: temporary, contents: Data(Data(secret).base64EncodedString().utf8) + Data("\n".utf8),
                attributes: [.posixPermissions: 0o600])
        else { throw CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: temporary]) }
        defer { unlink(temporary) }
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: temporary))
        try handle.synchronize()
        try handle.close()
        // Unlike a rename it does not replace what another has made meanwhile.
        _ = link(temporary, path)
        guard let made = try find(name) else { throw CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: path]) }
        return made
    }

    package static func randomKey() -> [UInt8] {
        SymmetricKey(size: .bits256).withUnsafeBytes { Array($0) }
    }

    /// Compares what was said with what is right, in the same time for everything that is wrong.
    package static func areSame(_ one: String, _ other: String) -> Bool {
        SHA256.hash(data: Data(one.utf8)) == SHA256.hash(data: Data(other.utf8))
    }
}

/// A secret that is derived from an id and not stored, so that a mail can carry a link: HMAC-SHA256 over purpose, id and version.
package struct LinkSecret: Sendable {
    /// With the key in it already, to be copied for each token.
    private let keyed: HMAC<SHA256>
    private let purpose: String

    package init(key: [UInt8], purpose: String) {
        keyed = HMAC(key: SymmetricKey(data: key))
        self.purpose = purpose
    }

    package func token(for id: String, version: Int64 = 1) -> String {
        var code = keyed
        code.update(data: Array("\(purpose)\n\(id)\n\(version)".utf8))
        return LinkSecret.base64URL(Array(code.finalize()))
    }

    /// RFC 4648, section 5, without padding.
    private static func base64URL(_ bytes: [UInt8]) -> String {
        String(unsafeUninitializedCapacity: (bytes.count * 8 + 5) / 6) { buffer in
            var (count, pending, bits) = (0, 0, 0)
            func append(_ value: Int) {
                buffer[count] = digits[value & 63]
                count += 1
            }
            for byte in bytes {
                pending = pending << 8 | Int(byte)
                bits += 8
                while bits >= 6 {
                    bits -= 6
                    append(pending >> bits)
                }
                pending &= (1 << bits) - 1
            }
            if bits > 0 { append(pending << (6 - bits)) }
            return count
        }
    }

    private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    /// In the same time for every wrong token.
    package func accepts(_ token: String?, for id: String, version: Int64 = 1) -> Bool {
        guard let token else { return false }
        let expected = self.token(for: id, version: version).utf8
        let given = token.utf8
        guard expected.count == given.count else { return false }
        return zip(expected, given).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }
}

import Crypto
import Foundation

/// A token that means nothing by itself: random, given away once, and stored as its hash only, so that who reads the
/// database can use none of them.
struct OpaqueToken: Sendable {
    let text: String

    /// 256 bits of a secure random source, in base64url.
    init(prefix: String = "") {
        text = prefix + SymmetricKey(size: .bits256).withUnsafeBytes { Data($0) }.base64URL
    }

    var hash: String { OpaqueToken.hash(of: text) }

    /// One round suffices: there is nothing to guess in 256 random bits.
    static func hash(of text: String) -> String {
        Data(SHA256.hash(data: Data(text.utf8))).base64URL
    }
}

extension Data {
    /// RFC 4648, section 5, without padding.
    var base64URL: String {
        base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }
}

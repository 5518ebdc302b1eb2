import Foundation

/// An address in the one form in which it is stored and compared: trimmed, composed (NFC) and in lower case.
///
/// RFC 5321 lets a mailbox tell `Ada` from `ada`; no provider in use does, and people write both.
enum EmailAddress {
    static func normalised(_ text: String) -> String {
        text.trimmingCharacters(in: .whitespacesAndNewlines).lowercased().precomposedStringWithCanonicalMapping
    }
}

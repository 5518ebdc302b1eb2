/// The addresses that this program sends mail to, and so the only ones that it takes.
public enum EmailAddress {
    /// The one form in which an address is stored and compared: trimmed and in lower case.
    ///
    /// RFC 5321 lets a mailbox tell `Ada` from `ada`; no provider in use does, and people write both.
    public static func normalised(_ text: String) -> String {
        let trimmed = text.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed()
        return String(trimmed).lowercased()
    }

    /// A dot-atom of at most 64 bytes, `@`, and a domain name, in ASCII (a domain beyond ASCII in its `xn--` form); 254 bytes in all
    /// (RFC 5321, 4.5.3.1; RFC 5322, 3.4.1).
    ///
    /// Quoted local parts, comments and address literals are refused: nobody has such an address, and each is a way to
    /// say one thing to this program and another to the next server.
    public static func isValid(_ address: String) -> Bool {
        let bytes = Array(address.utf8)
        guard bytes.count <= 254, let at = bytes.lastIndex(of: UInt8(ascii: "@")) else { return false }
        let local = bytes[..<at]
        let domain = bytes[(at + 1)...]
        return local.count <= 64
            && local.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
                .allSatisfy { !$0.isEmpty && $0.allSatisfy(\.isAtomText) }
            && domain.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
                .allSatisfy { label in
                    (1...63).contains(label.count) && label.allSatisfy { $0.isLetterOrDigit || $0 == UInt8(ascii: "-") }
                        && label.first != UInt8(ascii: "-") && label.last != UInt8(ascii: "-")
                }
    }
}

extension UInt8 {
    /// What an atom of a mail consists of (RFC 5322, 3.2.3).
    public var isAtomText: Bool {
        isLetterOrDigit || "!#$%&'*+-/=?^_`{|}~".utf8.contains(self)
    }

    /// In ASCII.
    public var isLetterOrDigit: Bool {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
        default: false
        }
    }
}

import NIOHTTP1

/// A request's path and query in their one form: what is authorised is what is forwarded.
package struct RequestTarget: Hashable, Sendable {
    /// Begins with a slash. Unreserved characters stand for themselves, all other escapes are in upper case, and there is neither an empty
    /// segment but perhaps the last nor `.` nor `..`.
    package let path: String
    /// As it came, without the question mark; nil where there was none.
    package let query: String?
    /// Of the absolute form, to be held against `Host`.
    package let authority: String?

    package var text: String { query.map { "\(path)?\($0)" } ?? path }

    /// - Parameter text: the request line's: of the origin form, or of the absolute form (RFC 9112, section 3.2).
    package init(_ text: String) throws(Refusal) {
        var rest = text.utf8[...]
        if rest.first == UInt8(ascii: "/") {
            authority = nil
        } else {
            (authority, rest) = try RequestTarget.absolute(text)
        }
        guard rest.allSatisfy({ (0x21...0x7e).contains($0) }) else { throw .malformed("The address has a character that must be escaped.") }
        guard !rest.contains(UInt8(ascii: "#")) else { throw .malformed("The address has a fragment, which is never sent.") }
        let mark = rest.firstIndex(of: UInt8(ascii: "?"))
        path = try RequestTarget.normalized(rest[..<(mark ?? rest.endIndex)])
        if let mark {
            let query = rest[rest.index(after: mark)...]
            try RequestTarget.check(query: query)
            self.query = String(decoding: query, as: UTF8.self)
        } else {
            query = nil
        }
    }

    private static func absolute(_ text: String) throws(Refusal) -> (String, Substring.UTF8View) {
        let lower = text.prefix(8).lowercased()
        let scheme = lower.hasPrefix("https://") ? 8 : lower.hasPrefix("http://") ? 7 : 0
        guard scheme > 0 else { throw .malformed("The address must begin with a slash.") }
        let rest = text.utf8.dropFirst(scheme)
        let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? rest.endIndex
        let path = rest[end...]
        guard path.first == UInt8(ascii: "/"), end > rest.startIndex else { throw .malformed("The address has no host or no path.") }
        return (String(decoding: rest[..<end], as: UTF8.self), path)
    }

    /// Most paths are in their one form already.
    private static func normalized(_ path: Substring.UTF8View) throws(Refusal) -> String {
        var previous = UInt8(0)
        let isPlain = path.allSatisfy { byte in
            defer { previous = byte }
            return byte.isPlainInPath && !(previous == UInt8(ascii: "/") && (byte == UInt8(ascii: "/") || byte == UInt8(ascii: ".")))
        }
        if isPlain { return String(decoding: path, as: UTF8.self) }

        let decoded = try decodingUnreserved(path)
        var segments: [ArraySlice<UInt8>] = []
        let parts = decoded.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        for part in parts where !part.isEmpty {
            if ["..;", ".;", "..%3B", ".%3B"].contains(where: { part.starts(with: $0.utf8) }) {
                throw .malformed("The path has a segment that could be read in two ways.")
            }
            if part.elementsEqual(".".utf8) { continue }
            guard part.elementsEqual("..".utf8) else {
                segments.append(part)
                continue
            }
            guard segments.popLast() != nil else { throw .malformed("The path leads out of what there is.") }
        }
        let last = parts.last ?? []
        let isFolder = last.isEmpty || last.elementsEqual(".".utf8) || last.elementsEqual("..".utf8)
        var result: [UInt8] = []
        result.reserveCapacity(decoded.count)
        for segment in segments {
            result.append(UInt8(ascii: "/"))
            result += segment
        }
        if isFolder || segments.isEmpty { result.append(UInt8(ascii: "/")) }
        return String(decoding: result, as: UTF8.self)
    }

    private static func decodingUnreserved(_ path: Substring.UTF8View) throws(Refusal) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(path.count)
        var rest = path
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                guard byte.isAllowedInPath else { throw .malformed("The path has a character that must be escaped.") }
                result.append(byte)
                continue
            }
            guard let high = rest.popFirst()?.hexValue, let low = rest.popFirst()?.hexValue else {
                throw .malformed("The path has a broken escape.")
            }
            let value = high << 4 | low
            guard value >= 0x20, value != 0x7f else { throw .malformed("The path has a control character.") }
            guard value != UInt8(ascii: "/"), value != UInt8(ascii: "\\") else { throw .malformed("The path has an escaped slash.") }
            if value.isUnreserved {
                result.append(value)
            } else {
                result += [UInt8(ascii: "%"), high.hexDigit, low.hexDigit]
            }
        }
        return result
    }

    private static func check(query: Substring.UTF8View) throws(Refusal) {
        var rest = query
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else { continue }
            guard let high = rest.popFirst()?.hexValue, let low = rest.popFirst()?.hexValue else {
                throw .malformed("The query has a broken escape.")
            }
            guard high != 0 || low != 0 else { throw .malformed("The query has a NUL.") }
        }
    }
}

extension UInt8 {
    /// Means nothing but itself in a path, where no dot begins a segment.
    fileprivate var isPlainInPath: Bool {
        isUnreserved || self == UInt8(ascii: "/") || self == UInt8(ascii: "@") || self == UInt8(ascii: ":")
    }

    /// RFC 3986, section 3.3, and the slash.
    fileprivate var isAllowedInPath: Bool {
        switch self {
        case UInt8(ascii: "!"), UInt8(ascii: "$"), UInt8(ascii: "&"), UInt8(ascii: "'"), UInt8(ascii: "("), UInt8(ascii: ")"),
            UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: "="):
            true
        default: isPlainInPath
        }
    }

    /// RFC 3986, section 2.3.
    var isUnreserved: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
            true
        default: false
        }
    }

    fileprivate var hexDigit: UInt8 { self < 10 ? UInt8(ascii: "0") + self : UInt8(ascii: "A") + self - 10 }
}

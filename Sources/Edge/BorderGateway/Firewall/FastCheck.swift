internal import Firewall
package import NIOCore
package import NIOHTTP1

/// Tells of most requests, in about a microsecond, that the rule set would let them pass: they are of shapes that cannot form an attack.
///
/// It knows what is harmless, not what is dangerous. Whatever it does not know is asked of the rule set.
package struct FastCheck: Sendable {
    /// What of a head is not known to be harmless, to be remembered once the rule set has let it pass.
    package struct Oddities: Hashable, Sendable {
        fileprivate(set) var fields: [String] = []
        package var isEmpty: Bool { fields.isEmpty }

        fileprivate mutating func add(_ name: String, _ value: String) {
            fields.append(name)
            fields.append(value)
        }
    }

    private static let mostParameters = 32
    /// Parameters of the API, which are no session's and no command's.
    package static let parameters: Set = [
        "after", "city", "country", "event", "format", "from", "interval", "limit", "order", "organizer", "query", "sort", "state",
        "status", "to", "token", "user",
    ]
    // Of which fields and parameters the rule set is told to look for less.
    private static let purposes: [String: PlainValue.Purpose] = {
        let all = [
            (Firewall.exceptions.lines + Firewall.exceptions.texts, PlainValue.Purpose.line), (Firewall.exceptions.addresses, .address),
            (Firewall.exceptions.secrets, .secret),
        ]
        return Dictionary(uniqueKeysWithValues: all.flatMap { names, purpose in names.map { ($0, purpose) } })
    }()
    private static let parameterPurposes: [String: PlainValue.Purpose] = Dictionary(
        uniqueKeysWithValues: Firewall.exceptions.lineParameters.map { ($0, .line) }
            + Firewall.exceptions.secretParameters.map { ($0, .secret) })

    private let suspicious = SuspiciousText()

    package init() {}

    // MARK: The method

    /// Of the API's, and without a body where nobody expects one.
    package func passes(method: HTTPMethod, hasBody: Bool) -> Bool {
        switch method {
        case .GET, .HEAD: !hasBody
        case .POST, .PUT, .PATCH, .DELETE, .OPTIONS: true
        default: false
        }
    }

    // MARK: The address

    /// - Parameter target: as it stands in the request line.
    package func passes(target: String) -> Bool {
        var target = target
        return target.withUTF8 { bytes in
            let path = bytes.prefix { $0 != UInt8(ascii: "?") }
            guard passes(path: path) else { return false }
            return path.count == bytes.count || passes(query: bytes[(path.count + 1)...])
        }
    }

    /// Segments of letters, digits, hyphens and underscores, the last perhaps with a file's ending.
    private func passes(path: Slice<UnsafeBufferPointer<UInt8>>) -> Bool {
        guard path.first == UInt8(ascii: "/") else { return false }
        var gram = Gram()
        var dot: Int?
        for (index, byte) in path.enumerated() {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "_"):
                break
            case UInt8(ascii: "/"): guard dot == nil else { return path.elementsEqual("/.well-known/jwks.json".utf8) }
            case UInt8(ascii: "."):
                guard dot == nil else { return path.elementsEqual("/.well-known/jwks.json".utf8) }
                dot = index
            default: return false
            }
            gram.take(byte)
            guard !suspicious.has(gram, .values) else { return path.elementsEqual("/api/openapi.json".utf8) }
        }
        guard let dot else { return true }
        let ending = path.dropFirst(dot)
        return [".png", ".pdf", ".csv"].contains { ending.elementsEqual($0.utf8) }
    }

    private func passes(query: Slice<UnsafeBufferPointer<UInt8>>) -> Bool {
        guard !query.isEmpty else { return true }
        var count = 0
        for pair in query.split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: false) {
            count += 1
            guard count <= FastCheck.mostParameters, let equals = pair.firstIndex(of: UInt8(ascii: "=")) else { return false }
            let name = String(decoding: pair[..<equals], as: UTF8.self)
            guard FastCheck.parameters.contains(name) else { return false }
            var value = PlainValue(suspicious, FastCheck.parameterPurposes[name] ?? .token)
            var rest = pair[(equals + 1)...]
            while let byte = rest.popFirst() {
                var decoded = byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte
                if byte == UInt8(ascii: "%") {
                    guard let high = rest.popFirst()?.hexValue, let low = rest.popFirst()?.hexValue else { return false }
                    decoded = high << 4 | low
                }
                guard value.take(decoded) else { return false }
            }
            guard value.end() else { return false }
        }
        return true
    }

    // MARK: The body

    /// Whether it is JSON of plain values, or there is none. What is no JSON at all may pass as well: no service takes it.
    package func passes(body: ByteBuffer) -> Bool {
        guard body.readableBytes > 0 else { return true }
        return body.withUnsafeReadableBytes { passes(json: $0) }
    }

    private func passes(json bytes: UnsafeRawBufferPointer) -> Bool {
        var pieces = BodyPieces(bytes)
        var purpose = PlainValue.Purpose.token
        while true {
            switch pieces.next() {
            case .name(let range):
                guard passes(key: bytes[range]) else { return false }
                purpose = FastCheck.purpose(of: bytes[range])
            case .text(let range):
                guard passes(bytes[range], purpose) else { return false }
                purpose = .token
            case .number(let range):
                guard passes(bytes[range], .token) else { return false }
                purpose = .token
            case .word, .list: purpose = .token
            case .end: return true
            case .unknown: return false
            }
        }
    }

    /// Of a body with more values than the rule set takes, those that are not plain, as JSON in which each has the name that it had.
    /// - Returns: nil for any other body, and for one whose names are not plain.
    package func remainder(of body: ByteBuffer) -> [UInt8]? {
        body.withUnsafeReadableBytes { bytes in
            var pieces = BodyPieces(bytes)
            var result = Array("[".utf8)
            var count = 0
            var name: Range<Int>?
            while true {
                switch pieces.next() {
                case .name(let range):
                    guard passes(key: bytes[range]) else { return nil }
                    name = range
                    continue
                case .text(let range):
                    count += 1
                    guard !passes(bytes[range], name.map { FastCheck.purpose(of: bytes[$0]) } ?? .token) else { break }
                    if result.count > 1 { result += ",".utf8 }
                    if let name { result += Array("{\"".utf8) + bytes[name] + Array("\":".utf8) }
                    result += Array("\"".utf8) + bytes[range] + Array("\"".utf8)
                    if name != nil { result += "}".utf8 }
                case .number(let range):
                    count += 1
                    guard !passes(bytes[range], .token) else { break }
                    result += (result.count > 1 ? Array(",".utf8) : []) + bytes[range]
                case .word: count += 1
                case .list: break
                case .end: return count > RuleSetPool.mostValues ? result + Array("]".utf8) : nil
                case .unknown: return nil
                }
                name = nil
            }
        }
    }

    private func passes(_ bytes: Slice<UnsafeRawBufferPointer>, _ purpose: PlainValue.Purpose) -> Bool {
        var value = PlainValue(suspicious, purpose)
        for byte in bytes { guard value.take(byte) else { return false } }
        return value.end()
    }

    private func passes(key: Slice<UnsafeRawBufferPointer>) -> Bool {
        guard (1...40).contains(key.count) else { return false }
        var gram = Gram()
        for byte in key {
            guard byte.isLetterOrDigit else { return false }
            gram.take(byte)
            guard !suspicious.has(gram, .values) else { return false }
        }
        return true
    }

    private static func purpose(of key: Slice<UnsafeRawBufferPointer>) -> PlainValue.Purpose {
        purposes[String(decoding: key, as: UTF8.self)] ?? .token
    }

    // MARK: The head

    /// Which fields are not known to be harmless.
    package func oddities(_ fields: HTTPHeaders) -> Oddities {
        var oddities = Oddities()
        for (name, value) in fields where !passes(name, value) { oddities.add(name, value) }
        return oddities
    }

    private func passes(_ name: String, _ value: String) -> Bool {
        switch FieldShape.of(name) {
        case .notJudged: true
        case .plain: isPlain(value)
        case .oneOf(let values): values.contains(value)
        case .product: isProduct(value)
        case .page: isPage(value)
        case .unknown: false
        }
    }

    /// Characters that mean nothing to any rule about all fields.
    private func isPlain(_ value: String) -> Bool {
        var gram = Gram()
        var last = UInt8(0)
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: " "), UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: "="), UInt8(ascii: "*"), UInt8(ascii: "-"),
                UInt8(ascii: "_"), UInt8(ascii: "/"), UInt8(ascii: ":"), UInt8(ascii: "+"), UInt8(ascii: "\""), UInt8(ascii: "@"),
                UInt8(ascii: "?"):
                break
            case UInt8(ascii: ".") where last != UInt8(ascii: "."): break
            default: return false
            }
            gram.take(byte)
            guard !suspicious.has(gram, .fields) else { return false }
            last = byte
        }
        return !value.isEmpty
    }

    /// `https://example.org:8080/events/owls-at-midnight`
    private func isPage(_ value: String) -> Bool {
        var rest = value.utf8[...]
        guard let scheme = ["https://", "http://"].first(where: { rest.starts(with: $0.utf8) }) else { return false }
        rest = rest.dropFirst(scheme.utf8.count)
        for (index, part) in rest.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).enumerated() {
            var text = PlainValue(suspicious, .token)
            // The host's port.
            for byte in part where index > 0 || byte != UInt8(ascii: ":") {
                guard text.take(byte), byte != UInt8(ascii: "@") else { return false }
            }
            guard text.end() else { return false }
        }
        return isPlain(value)
    }

    /// `curl/8.5.0`, of programs that are no scanners.
    private func isProduct(_ value: String) -> Bool {
        guard let slash = value.utf8.firstIndex(of: UInt8(ascii: "/")) else { return false }
        return FieldShape.products.contains(String(value[..<slash]))
            && value.utf8[slash...].dropFirst().allSatisfy { $0 == UInt8(ascii: ".") || (48...57).contains($0) }
    }
}

extension UInt8 {
    fileprivate var isLetterOrDigit: Bool { (48...57).contains(self) || (97...122).contains(self | 0x20) }
}

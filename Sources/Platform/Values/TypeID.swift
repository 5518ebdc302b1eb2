import Synchronization

/// What a kind of identifier is called in text.
package protocol IdentifierKind: Sendable {
    static var prefix: String { get }
}

/// An identifier that knows what it identifies: a UUIDv7 with a prefix, sortable by the time of its making
/// (TypeID 0.3: `order_01h455vb4pex5vsknk084sn02q`).
package struct TypeID<Kind: IdentifierKind>: Hashable, Comparable, Sendable {
    private let high: UInt64
    private let low: UInt64

    /// A new identifier, greater than all that this process has made before.
    package init() {
        (high, low) = UUIDv7.next()
    }

    /// The 16 bytes of the UUID, as they stand in a ticket's code.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        high = bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        low = bytes.dropFirst(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    package var bytes: [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: high >> (56 - 8 * $0)) }
            + (0..<8).map { UInt8(truncatingIfNeeded: low >> (56 - 8 * $0)) }
    }

    package static func < (a: TypeID, b: TypeID) -> Bool {
        (a.high, a.low) < (b.high, b.low)
    }
}

extension TypeID: CustomStringConvertible, LosslessStringConvertible {
    package var description: String {
        let prefix = Kind.prefix.utf8
        return String(unsafeUninitializedCapacity: prefix.count + 27) { buffer in
            var position = 0
            for byte in prefix {
                buffer[position] = byte
                position += 1
            }
            buffer[position] = UInt8(ascii: "_")
            var (high, low) = (high, low)
            for offset in stride(from: 26, to: 0, by: -1) {
                buffer[position + offset] = CrockfordBase32.character(UInt8(low & 31))
                low = low >> 5 | high << 59
                high >>= 5
            }
            return position + 27
        }
    }

    package init?(_ description: String) {
        let text = description.utf8
        let prefix = Kind.prefix.utf8
        guard text.count == prefix.count + 27, text.starts(with: prefix) else { return nil }
        var characters = text.dropFirst(prefix.count)
        guard characters.removeFirst() == UInt8(ascii: "_"), let first = characters.first, (48...55).contains(first)
        else { return nil }
        var (high, low): (UInt64, UInt64) = (0, 0)
        for character in characters {
            guard !(65...90).contains(character), let value = CrockfordBase32.value(of: character) else { return nil }
            high = high << 5 | low >> 59
            low = low << 5 | UInt64(value)
        }
        self.high = high
        self.low = low
    }
}

extension TypeID: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let id = TypeID(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "must be an id that begins with \(Kind.prefix)_")
        }
        self = id
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// UUID version 7 (RFC 9562): milliseconds, then a counter that keeps the order within one, then random bits.
private enum UUIDv7 {
    private static let last = Mutex<(millisecond: UInt64, counter: UInt64)>((0, 0))

    static func next() -> (UInt64, UInt64) {
        let now = UInt64(Instant.now.microseconds / 1_000)
        let (millisecond, counter) = last.withLock { last in
            if now > last.millisecond {
                last = (now, UInt64.random(in: 0..<0x400))
            } else if last.counter < 0xFFF {
                last.counter += 1
            } else {
                last = (last.millisecond + 1, UInt64.random(in: 0..<0x400))
            }
            return last
        }
        let high = millisecond << 16 | 0x7000 | counter
        let low = 0x8000_0000_0000_0000 | UInt64.random(in: 0..<0x4000_0000_0000_0000)
        return (high, low)
    }
}

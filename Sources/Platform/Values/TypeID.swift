import Glibc
import Synchronization

/// What a kind of identifier is called in text.
public protocol IdentifierKind: Sendable {
    static var prefix: String { get }
}

/// An identifier that knows what it identifies: a UUIDv7 with a prefix, sortable by the time of its making
/// (TypeID 0.3: `order_01h455vb4pex5vsknk084sn02q`).
public struct TypeID<Kind: IdentifierKind>: Hashable, Comparable, Sendable {
    private let high: UInt64
    private let low: UInt64

    /// A new identifier, greater than all that this process has made before.
    public init() {
        (high, low) = UUIDv7.next()
    }

    /// The 16 bytes of the UUID, as they stand in a ticket's code.
    public init?(bytes: some Collection<UInt8>) {
        var (high, low, count): (UInt64, UInt64, Int) = (0, 0, 0)
        for byte in bytes {
            high = high << 8 | low >> 56
            low = low << 8 | UInt64(byte)
            count += 1
        }
        guard count == 16 else { return nil }
        (self.high, self.low) = (high, low)
    }

    public var bytes: [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: high >> (56 - 8 * $0)) }
            + (0..<8).map { UInt8(truncatingIfNeeded: low >> (56 - 8 * $0)) }
    }

    public static func < (a: TypeID, b: TypeID) -> Bool {
        (a.high, a.low) < (b.high, b.low)
    }
}

extension TypeID: CustomStringConvertible, LosslessStringConvertible {
    public var description: String {
        let prefix = Kind.prefix.utf8
        let digits = UUIDv7.digits(high, low)
        return unsafe String(unsafeUninitializedCapacity: prefix.count + 27) { buffer in
            var position = 0
            for byte in prefix {
                unsafe buffer[position] = byte
                position += 1
            }
            unsafe buffer[position] = UInt8(ascii: "_")
            for place in digits.indices { unsafe buffer[position + 1 + place] = digits[place] }
            return position + 27
        }
    }

    /// Appends its description.
    public func append(to text: inout [UInt8]) {
        text += Kind.prefix.utf8
        text.append(UInt8(ascii: "_"))
        UUIDv7.digits(high, low).span.withUnsafeBufferPointer { unsafe text.append(contentsOf: $0) }
    }

    public init?(_ description: String) {
        let text = description.utf8.span
        let prefix = Kind.prefix.utf8
        guard text.count == prefix.count + 27, text[prefix.count] == UInt8(ascii: "_") else { return nil }
        for (offset, character) in prefix.enumerated() {
            guard text[offset] == character else { return nil }
        }
        // 130 bits, of which the first two are zero.
        guard (48...55).contains(text[prefix.count + 1]) else { return nil }
        var (high, low): (UInt64, UInt64) = (0, 0)
        for offset in prefix.count + 1..<text.count {
            guard !(65...90).contains(text[offset]), let value = CrockfordBase32.value(of: text[offset]) else { return nil }
            high = high << 5 | low >> 59
            low = low << 5 | UInt64(value)
        }
        self.high = high
        self.low = low
    }
}

extension TypeID: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let id = TypeID(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "must be an id that begins with \(Kind.prefix)_")
        }
        self = id
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// UUID version 7 (RFC 9562): milliseconds, then a counter that keeps the order within one, then random bits.
private enum UUIDv7 {
    private struct State {
        var millisecond: UInt64 = 0
        var counter: UInt64 = 0
        var random = RandomNumbers()
    }

    private static let state = Mutex(State())

    /// Five bits each, the highest first.
    static func digits(_ high: UInt64, _ low: UInt64) -> InlineArray<26, UInt8> {
        var (high, low) = (high, low)
        var digits = InlineArray<26, UInt8>(repeating: 0)
        for place in digits.indices.reversed() {
            digits[place] = CrockfordBase32.character(UInt8(truncatingIfNeeded: low))
            low = low >> 5 | high << 59
            high >>= 5
        }
        return digits
    }

    static func next() -> (UInt64, UInt64) {
        let now = UInt64(Instant.now.microseconds / 1_000)
        return state.withLock { state in
            if now <= state.millisecond, state.counter < 0xFFF {
                state.counter += 1
            } else {
                state.millisecond = max(now, state.millisecond + 1)
                state.counter = state.random.next() & 0x3FF
            }
            let high = state.millisecond << 16 | 0x7000 | state.counter
            let low = 0x8000_0000_0000_0000 | state.random.next() >> 2
            return (high, low)
        }
    }
}

/// The system's random numbers, many at a time: to ask for each is a call of the system each.
private struct RandomNumbers {
    private var numbers: [UInt64] = []

    mutating func next() -> UInt64 {
        if numbers.isEmpty {
            numbers = [UInt64](repeating: 0, count: 32)
            let isFilled = numbers.withUnsafeMutableBytes { getentropy($0.baseAddress!, $0.count) == 0 }
            precondition(isFilled, "the system has no random numbers")
        }
        return numbers.removeLast()
    }
}

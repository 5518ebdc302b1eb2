/// Crockford's base 32: no `I`, `L`, `O`, `U`, so that it can be read aloud and typed.
public enum CrockfordBase32 {
    private static let alphabet: StaticString = "0123456789abcdefghjkmnpqrstvwxyz"

    /// Five bits a character, high bits first, the last character padded with zero bits.
    public static func encode(_ bytes: some Sequence<UInt8>, uppercase: Bool = false) -> String {
        var output: [UInt8] = []
        var buffer: UInt32 = 0
        var bits: UInt32 = 0
        for byte in bytes {
            buffer = buffer << 8 | UInt32(byte)
            bits += 8
            while bits >= 5 {
                bits -= 5
                output.append(character(UInt8(buffer >> bits & 31)))
            }
            buffer &= 0xFF
        }
        if bits > 0 { output.append(character(UInt8(buffer << (5 - bits) & 31))) }
        if uppercase {
            for index in output.indices where output[index] >= 97 { output[index] -= 32 }
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// The bytes of `text`, in either case; nil for any other character or padding that is not zero.
    public static func decode(_ text: String) -> [UInt8]? {
        var output: [UInt8] = []
        var buffer: UInt32 = 0
        var bits: UInt32 = 0
        for character in text.utf8 {
            guard let value = value(of: character) else { return nil }
            buffer = buffer << 5 | UInt32(value)
            bits += 5
            if bits >= 8 {
                bits -= 8
                output.append(UInt8(buffer >> bits & 0xFF))
            }
            // No more than seven bits wait for the next character.
            buffer &= 0x7F
        }
        guard bits < 5, buffer & (1 << bits - 1) == 0 else { return nil }
        return output
    }

    static func value(of character: UInt8) -> UInt8? {
        let lowercase = character | 0x20
        return switch lowercase {
        case _ where (48...57).contains(character): character - 48
        case 97...104: lowercase - 87
        case 106, 107: lowercase - 88
        case 109, 110: lowercase - 89
        case 112...116: lowercase - 90
        case 118...122: lowercase - 91
        default: nil
        }
    }

    /// - Parameter value: its low five bits.
    static func character(_ value: UInt8) -> UInt8 { unsafe alphabet.utf8Start[Int(value & 31)] }
}

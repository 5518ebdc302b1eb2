import Values

/// W3C Trace Context.
enum Trace {
    /// The field `traceparent` of a new trace, which is not sampled.
    static func begin() -> String {
        var numbers = QuickRandom()
        return String(unsafeUninitializedCapacity: 55) { text in
            var random: UInt64 = 0
            for index in 0..<55 {
                switch index {
                case 2, 35, 52: text[index] = UInt8(ascii: "-")
                case 0, 1, 53, 54: text[index] = UInt8(ascii: "0")
                default:
                    // Sixteen digits of each number.
                    if (index - 3) & 15 == 0 || index == 36 { random = numbers.next() }
                    let digit = UInt8(truncatingIfNeeded: random & 15)
                    text[index] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") - 10 + digit
                    random >>= 4
                }
            }
            return 55
        }
    }
}

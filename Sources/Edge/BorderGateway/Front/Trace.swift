/// W3C Trace Context.
enum Trace {
    /// The field `traceparent` of a new trace, which is not sampled.
    static func begin() -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(unsafeUninitializedCapacity: 55) { text in
            var random: UInt64 = 0
            for index in 0..<55 {
                switch index {
                case 2, 35, 52: text[index] = UInt8(ascii: "-")
                case 0, 1, 53, 54: text[index] = UInt8(ascii: "0")
                default:
                    if random < 16 { random = .random(in: 1 << 60...UInt64.max) }
                    text[index] = digits[Int(random & 15)]
                    random >>= 4
                }
            }
            return 55
        }
    }
}

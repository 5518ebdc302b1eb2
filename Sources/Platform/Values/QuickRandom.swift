import Synchronization

/// Random numbers in a nanosecond, for what only has to differ: names of requests, who is asked first. The system's own cost a call of the
/// system each. Whoever sees some of these can work out the others, so they are not for secrets.
public struct QuickRandom: RandomNumberGenerator {
    private static let state = Atomic(UInt64.random(in: 0...UInt64.max))

    public init() {}

    /// SplitMix64, of which all threads share the one sequence.
    @inline(__always)
    public mutating func next() -> UInt64 {
        var number = QuickRandom.state.wrappingAdd(0x9e37_79b9_7f4a_7c15, ordering: .relaxed).newValue
        number = (number ^ number >> 30) &* 0xbf58_476d_1ce4_e5b9
        number = (number ^ number >> 27) &* 0x94d0_49bb_1331_11eb
        return number ^ number >> 31
    }
}

/// Which messages in hand are acknowledged, and how that is told with few words: a run without gaps from the oldest one on takes one,
/// which costs the server one entry of its log.
struct Acknowledgements {
    struct Words: Equatable {
        /// The last of a run: it and all before it.
        var upTo: UInt64?
        var singly: [UInt64] = []
    }

    /// Numbers begin with 1.
    private var oldest: UInt64 = 1
    private var told: Set<UInt64> = []

    /// Of a message that the server has been told of in another way.
    mutating func skip(_ tag: UInt64) {
        told.insert(tag)
    }

    mutating func words(for tags: [UInt64]) -> Words {
        var words = Words()
        var fresh = Set(tags)
        while true {
            if fresh.remove(oldest) != nil {
                // The server knows only numbers that it was not told before.
                words.upTo = oldest
            } else if told.remove(oldest) == nil {
                break
            }
            oldest += 1
        }
        words.singly = fresh.sorted()
        told.formUnion(fresh)
        return words
    }
}

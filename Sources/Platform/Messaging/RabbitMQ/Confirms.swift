/// What was published and waits for the server's word: messages have the numbers 1, 2, 3, and one answer may be about many of them.
struct Confirms<Item> {
    private var items: [UInt64: Item] = [:]
    private var oldest: UInt64 = 1
    private var next: UInt64 = 1

    var count: Int { items.count }

    mutating func add(_ item: Item) {
        items[next] = item
        next += 1
    }

    /// Takes out what an answer is about.
    /// - Parameter isMultiple: whether it is about all before it as well.
    mutating func take(_ number: UInt64, isMultiple: Bool) -> [Item] {
        guard isMultiple else { return items.removeValue(forKey: number).map { [$0] } ?? [] }
        guard number >= oldest else { return [] }
        defer { oldest = number + 1 }
        return (oldest...number).compactMap { items.removeValue(forKey: $0) }
    }
}

/// An order's number: ten characters that are hard to confuse when read aloud, not to be guessed (47 bits), in two groups.
enum OrderNumber {
    private static let alphabet = Array("23456789ABCDEFGHJKMNPQRSTVWXYZ")

    static func make() -> String {
        var generator = SystemRandomNumberGenerator()
        func group() -> String { String((0..<5).map { _ in alphabet.randomElement(using: &generator)! }) }
        return "\(group())-\(group())"
    }
}

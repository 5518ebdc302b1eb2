/// Looks at one value byte by byte: whether it is of a shape that no rule stops.
struct PlainValue {
    /// What a value is there for.
    enum Purpose {
        /// A number, a name of something, a time, an address of mail: one word.
        case token
        /// The same where an address of mail belongs, which may begin with a command.
        case address
        /// A line that people write.
        case line
        /// What nobody reads but to compare it.
        case secret
    }

    /// Longer ones are the rule set's.
    private static let longest = 1_000

    private struct Class: OptionSet {
        let rawValue: UInt16
        static let letter = Class(rawValue: 1)
        static let digit = Class(rawValue: 2)
        static let underscore = Class(rawValue: 4)
        static let hyphen = Class(rawValue: 8)
        static let dot = Class(rawValue: 16)
        static let colon = Class(rawValue: 32)
        static let at = Class(rawValue: 64)
        /// Between words.
        static let mark = Class(rawValue: 128)
        /// The first byte of a letter with an accent, or of what printers write for quotes and dashes. To rules it is no part of a word.
        static let wide = Class(rawValue: 256)

        static let token: Class = [.letter, .digit, .underscore, .hyphen, .dot, .colon]
        static let address: Class = [.letter, .digit, .underscore, .hyphen, .dot, .at]
        static let line: Class = [.letter, .digit, .hyphen, .dot, .colon, .mark, .wide]
    }

    @inline(__always)
    private static func classOf(_ byte: UInt8) -> Class {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): .letter
        case UInt8(ascii: "0")...UInt8(ascii: "9"): .digit
        case UInt8(ascii: "_"): .underscore
        case UInt8(ascii: "-"): .hyphen
        case UInt8(ascii: "."): .dot
        case UInt8(ascii: ":"): .colon
        case UInt8(ascii: "@"): .at
        case UInt8(ascii: " "), UInt8(ascii: ","), UInt8(ascii: "!"), UInt8(ascii: "?"): .mark
        case 0xc3, 0xe2: .wide
        default: []
        }
    }

    /// Where in the UTF-8 of a wide character the next byte is.
    private enum Within {
        case none
        /// Of U+00C0 to U+00FF.
        case letter
        /// Of U+2000 to U+2FFF.
        case mark
        /// Of U+2000 to U+203F.
        case dashOrQuote

        /// Takes a byte that must go on with the character.
        mutating func take(_ byte: UInt8) -> Bool {
            switch (self, byte) {
            // Letters but the signs of multiplication and division. Of letters further on rules take the last eight bits for a character:
            // to them U+013C is a <.
            case (.letter, 0x80...0x96), (.letter, 0x98...0xb6), (.letter, 0xb8...0xbf): self = .none
            case (.mark, 0x80): self = .dashOrQuote
            // – — ‘ ’ “ ” „
            case (.dashOrQuote, 0x93...0x94), (.dashOrQuote, 0x98...0x99), (.dashOrQuote, 0x9c...0x9e): self = .none
            default: return false
            }
            return true
        }
    }

    /// Letters, digits and underscores without anything between them.
    private enum Run {
        case none
        /// One word, of which what stands before its first digit counts.
        case word
        case wordWithDigits
        /// A number, and perhaps words behind it: each counts.
        case number
    }

    private let suspicious: SuspiciousText
    private let purpose: Purpose
    private var gram = Gram()
    /// A run of letters, digits and underscores so far, until a digit ends it.
    private var word = Word()
    private var run = Run.none
    private var wordsBefore = 0
    private var length = 0
    private var seen: Class = []
    private var last: Class = []
    private var first: Class = []
    /// Since the `@` of an address.
    private var afterAt: Class = []
    private var within = Within.none

    init(_ suspicious: SuspiciousText, _ purpose: Purpose) {
        self.suspicious = suspicious
        self.purpose = purpose
    }

    /// - Returns: false for what cannot be plain any more.
    @inline(__always)
    mutating func take(_ byte: UInt8) -> Bool {
        guard within == .none else {
            length += 1
            return within.take(byte)
        }
        let new = PlainValue.classOf(byte)
        guard !new.isEmpty else { return false }
        if new == .wide {
            guard purpose == .line else { return false }
            within = byte == 0xc3 ? .letter : .mark
        }
        guard purpose != .secret else {
            gram.take(byte)
            length += 1
            return !suspicious.has(gram, .fields)
        }
        switch new {
        // Of a number in base 16 letters are digits, and what follows them may be a word of its own: 0x1for is 0x1f or.
        case .letter where run == .number && word.letters == 0 && (byte | 0x20) == UInt8(ascii: "x"): return false
        case .letter, .underscore:
            if run == .none { run = .word }
            if run != .wordWithDigits { word.take(byte) }
        case .digit:
            guard endWord() else { return false }
            run = run == .none ? .number : run == .word ? .wordWithDigits : run
        default:
            guard endWord() else { return false }
            run = .none
        }
        switch new {
        // Two hyphens begin a comment, two dots lead upwards.
        case .hyphen where last == .hyphen, .dot where last == .dot: return false
        case .colon where last != .digit: return false
        case .at where seen.contains(.at) || !(last == .letter || last == .digit): return false
        default: break
        }
        // A time has digits on both sides of a colon, and a host begins with a letter.
        if last == .colon, new != .digit { return false }
        if last == .at, new != .letter { return false }
        gram.take(byte)
        guard !suspicious.has(gram, .values) else { return false }
        if length == 0 { first = new }
        if seen.contains(.at) { afterAt.insert(new) }
        seen.insert(new)
        last = new
        length += 1
        return true
    }

    @inline(__always)
    private mutating func endWord() -> Bool {
        defer {
            if word.letters != 0 { wordsBefore += 1 }
            word = Word()
        }
        guard word.letters != 0 else { return true }
        // A command is one at the beginning of a value.
        return !suspicious.has(word, wordsBefore == 0 && purpose == .token ? .commands : .values)
    }

    /// Whether all of it is plain.
    mutating func end() -> Bool {
        guard endWord(), length <= PlainValue.longest, last != .colon, last != .at, within == .none else { return false }
        switch purpose {
        case .secret: return true
        case .line: return seen.isSubset(of: .line)
        case .token, .address:
            if seen.isSubset(of: .token) { return true }
            return seen.isSubset(of: .address) && first == .letter && afterAt.isSubset(of: [.letter, .digit, .dot])
        }
    }
}

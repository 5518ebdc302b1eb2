import Foundation
import Testing
import Values

/// The house's JSON against Foundation's, which many eyes have seen.
@Suite struct JSONTests {
    private struct Everything: Codable, Equatable {
        enum Level: String, Codable { case low, high }

        var text = "Grüße \"quoted\" \\ / \u{8}\u{9}\n\u{c}\r\u{1} 👩‍👩‍👧 العربية \u{2028}"
        var empty = ""
        var yes = true
        var no = false
        var zero = 0
        var small: Int8 = -128
        var smallest = Int64.min
        var largest = UInt64.max
        var fraction = -0.015625
        var whole = 3.0
        var nothing: Int?
        var level = Level.high
        var list = [[1, 2], [], [-3]]
        var texts = ["b", "a"]
        var names = ["z": 1, "a b": 2, "\"": 3]
        var nested = [Nested(id: 1, next: [Nested(id: 2, next: [])])]
    }

    private struct Nested: Codable, Equatable {
        var id: Int
        var next: [Nested]
    }

    @Test func `what is written is what Foundation writes`() throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        #expect(try JSON.text(of: Everything()) == String(decoding: try encoder.encode(Everything()), as: UTF8.self))
    }

    @Test func `what is written can be read`() throws {
        #expect(try JSON.value(Everything.self, from: JSON.text(of: Everything())) == Everything())
        #expect(try JSON.value([String].self, from: JSON.text(of: ["top", "level"])) == ["top", "level"])
        #expect(try JSON.value(Int.self, from: " 7\n") == 7)
        #expect(try JSON.text(of: [String: Int]()) == "{}")
        #expect(try JSON.text(of: Optional<Int>.none) == "null")
    }

    @Test(arguments: [
        #"{"id":1,"next":[]}"#, "{ \"next\" : [ ] , \"id\" : 1.0e0 }\r\n\t",
        #"{"x":{"y":[null,true,false,-0.5e-3,"\u00e9\ud83c\udf9f"]},"id":1,"next":[]}"#,
        #"{"id":2,"id":1,"next":[]}"#, #"{"\u0069d":1,"next":[]}"#,
    ])
    func `what is JSON is read`(text: String) throws {
        #expect(try JSON.value(Nested.self, from: text) == Nested(id: 1, next: []))
    }

    @Test(arguments: [
        "", " ", "{", "}", "[", "]", "[1,]", "[,1]", "[1 2]", "{\"a\":1,}", "{\"a\"}", "{\"a\":}", "{a:1}", "{1:1}", "{'a':1}", "01", "-",
        "+1", "1.",
        ".5", "1e", "1e+", "0x1", "NaN", "Infinity", "nul", "nulll", "tru", "True", "\"", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12G4\"",
        "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\n\"", "\"\t\"", "1 1", "{} {}", "//\n1", "\u{feff}1",
        String(repeating: "[", count: 100_000), String(repeating: "[", count: 200) + String(repeating: "]", count: 200),
    ])
    func `what is not JSON is refused`(text: String) {
        #expect(throws: DecodingError.self) { try JSON.value(Anything.self, from: text) }
    }

    @Test func `bytes that are not UTF-8 are refused`() {
        #expect(throws: DecodingError.self) { try JSON.value(String.self, from: [34, 0xC3, 0x28, 34]) }
    }

    /// Reads all there is.
    private struct Anything: Decodable {
        init(from decoder: any Decoder) throws {
            if var list = try? decoder.unkeyedContainer() {
                while !list.isAtEnd { _ = try list.decode(Anything.self) }
            } else if let object = try? decoder.container(keyedBy: Name.self) {
                for key in object.allKeys { _ = try object.decode(Anything.self, forKey: key) }
            } else {
                let value = try decoder.singleValueContainer()
                if !value.decodeNil(), (try? value.decode(Bool.self)) == nil, (try? value.decode(Double.self)) == nil {
                    _ = try value.decode(String.self)
                }
            }
        }

        private struct Name: CodingKey {
            let stringValue: String
            var intValue: Int? { nil }
            init(stringValue: String) { self.stringValue = stringValue }
            init?(intValue: Int) { nil }
        }
    }

    @Test(arguments: [
        (#"{"id":"1","next":[]}"#, "id"), (#"{"id":1.5,"next":[]}"#, "id"), (#"{"id":9223372036854775808,"next":[]}"#, "id"),
        (#"{"id":1e300,"next":[]}"#, "id"), (#"{"id":null,"next":[]}"#, "id"), (#"{"id":1,"next":{}}"#, "next"),
        (#"{"a":[0,{}],"id":1,"next":[{"id":1,"next":[]},{"id":true,"next":[]}]}"#, "next.1.id"),
    ])
    func `an error names the place`(text: String, place: String) {
        let error = #expect(throws: DecodingError.self) { try JSON.value(Nested.self, from: text) }
        let context: DecodingError.Context? =
            switch error {
            case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context): context
            default: nil
            }
        #expect(context?.codingPath.map(\.stringValue).joined(separator: ".") == place)
    }

    @Test func `a missing member is named`() {
        let error = #expect(throws: DecodingError.self) { try JSON.value(Nested.self, from: #"{"id":1}"#) }
        guard case .keyNotFound(let key, _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(key.stringValue == "next")
    }

    @Test func `a number that JSON does not know is not written`() {
        #expect(throws: EncodingError.self) { try JSON.text(of: [Double.nan]) }
    }

    @Test func `random values come back, here and in Foundation`() throws {
        var random = SeededRandom(state: 42)
        for _ in 0..<2_000 {
            let value = RandomValue.make(depth: 4, &random)
            let bytes = try JSON.bytes(of: value)
            #expect(try JSON.value(RandomValue.self, from: bytes) == value)
            #expect(try JSONDecoder().decode(RandomValue.self, from: Data(bytes)) == value)
            #expect(try JSON.value(RandomValue.self, from: [UInt8](JSONEncoder().encode(value))) == value)
        }
    }

    private indirect enum RandomValue: Codable, Equatable {
        case null, bool(Bool), integer(Int), text(String), list([RandomValue]), object([String: RandomValue])

        static func make(depth: Int, _ random: inout SeededRandom) -> RandomValue {
            switch Int.random(in: 0..<(depth > 0 ? 6 : 4), using: &random) {
            case 0: .null
            case 1: .bool(Bool.random(using: &random))
            case 2: .integer(Int.random(in: .min ... .max, using: &random))
            case 3: .text(word(&random))
            case 4: .list((0..<Int.random(in: 0..<4, using: &random)).map { _ in make(depth: depth - 1, &random) })
            default:
                .object(
                    Dictionary((0..<Int.random(in: 0..<4, using: &random)).map { _ in (word(&random), make(depth: depth - 1, &random)) }) {
                        $1
                    })
            }
        }

        private static func word(_ random: inout SeededRandom) -> String {
            let scalars = Array("ab\"\\/\u{0}\u{1f}\u{7f}\ne\u{301}ß漢🎟\u{202e}\u{ffff}".unicodeScalars)
            var text = ""
            for _ in 0..<Int.random(in: 0..<8, using: &random) { text.unicodeScalars.append(scalars.randomElement(using: &random)!) }
            return text
        }

        init(from decoder: any Decoder) throws {
            let value = try decoder.singleValueContainer()
            if value.decodeNil() {
                self = .null
            } else if let bool = try? value.decode(Bool.self) {
                self = .bool(bool)
            } else if let integer = try? value.decode(Int.self) {
                self = .integer(integer)
            } else if let text = try? value.decode(String.self) {
                self = .text(text)
            } else if let list = try? value.decode([RandomValue].self) {
                self = .list(list)
            } else {
                self = .object(try value.decode([String: RandomValue].self))
            }
        }

        func encode(to encoder: any Encoder) throws {
            var value = encoder.singleValueContainer()
            switch self {
            case .null: try value.encodeNil()
            case .bool(let bool): try value.encode(bool)
            case .integer(let integer): try value.encode(integer)
            case .text(let text): try value.encode(text)
            case .list(let list): try value.encode(list)
            case .object(let object): try value.encode(object)
            }
        }
    }

    /// The same numbers in every run (SplitMix64).
    private struct SeededRandom: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
    }
}

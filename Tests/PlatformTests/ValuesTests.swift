import Discovery
import HTTPTypes
import Testing
import Values

private enum TestKind: IdentifierKind { static let prefix = "test" }

@Suite struct ValuesTests {
    @Test(arguments: [
        ("2027-05-01T18:30:00Z", "2027-05-01T18:30:00Z"), ("2027-05-01T20:30:00+02:00", "2027-05-01T18:30:00Z"),
        ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.5Z"), ("2000-02-29T00:00:00.000001Z", "2000-02-29T00:00:00.000001Z"),
    ])
    func `RFC 3339 is read and written`(text: String, expected: String) throws {
        #expect(try #require(Instant(text)).description == expected)
    }

    @Test(arguments: [
        "", "2027-02-29T00:00:00Z", "2027-13-01T00:00:00Z", "2027-05-01", "2027-05-01T24:00:00Z", "2027-05-01T18:30:00",
        "2027-05-01T18:30:00+25:00", "2027-05-01T18:30:00Zx", "٢٠٢٧-05-01T18:30:00Z",
    ])
    func `what is no RFC 3339 time is refused`(text: String) {
        #expect(Instant(text) == nil)
    }

    @Test func `every day of four centuries has one name`() {
        var instant = Instant("1970-01-01T00:00:00Z")!
        for _ in 0..<146_097 {
            let civil = instant.civil
            #expect(Instant(year: civil.year, month: civil.month, day: civil.day) == instant)
            instant = instant + .days(1)
        }
        #expect(instant.description == "2370-01-01T00:00:00Z")
    }

    @Test func `a local time that the zone skips is refused, a doubled one means the earlier`() throws {
        #expect(throws: ZonedTime.Mistake.skipped) { try ZonedTime("2027-03-28T02:30:00", zone: "Europe/Berlin") }
        #expect(try ZonedTime("2027-10-31T02:30:00", zone: "Europe/Berlin").instant == Instant("2027-10-31T00:30:00Z"))
        #expect(try ZonedTime("2027-05-01T19:30:00", zone: "Europe/Berlin").instant == Instant("2027-05-01T17:30:00Z"))
        #expect(try ZonedTime("2027-05-01T17:30:00Z", zone: "Europe/Berlin").local == "2027-05-01T19:30:00")
        #expect(throws: ZonedTime.Mistake.unknownZone) { try ZonedTime("2027-05-01T19:30:00", zone: "Europe/Atlantis") }
    }

    @Test func `ids keep the order of their making and survive text`() throws {
        let ids = (0..<5_000).map { _ in TypeID<TestKind>() }
        #expect(ids == ids.sorted())
        #expect(Set(ids).count == ids.count)
        #expect(ids.map(\.description) == ids.map(\.description).sorted())
        for id in ids.prefix(100) {
            #expect(TypeID<TestKind>(id.description) == id)
            #expect(TypeID<TestKind>(bytes: id.bytes) == id)
        }
        for wrong in [
            "", "test_", "other_01h455vb4pex5vsknk084sn02q", "test_81h455vb4pex5vsknk084sn02q", "test_01H455VB4PEX5VSKNK084SN02Q",
        ] {
            #expect(TypeID<TestKind>(wrong) == nil)
        }
    }

    @Test func `base 32 survives, in either case, and refuses what it never writes`() {
        for length in 0..<70 {
            let bytes = (0..<length).map { _ in UInt8.random(in: 0...255) }
            #expect(CrockfordBase32.decode(CrockfordBase32.encode(bytes)) == bytes)
            #expect(CrockfordBase32.decode(CrockfordBase32.encode(bytes, uppercase: true)) == bytes)
        }
        #expect(CrockfordBase32.decode("u0") == nil)
        #expect(CrockfordBase32.decode("0") == nil)
    }

    @Test func `a sum that is split adds up to itself, and no part is off by more than one`() {
        for _ in 0..<2_000 {
            let weights = (0..<Int.random(in: 1...12)).map { _ in Int64.random(in: 0...10_000) }
            let amount = Int64.random(in: -1_000_000...1_000_000)
            let parts = apportion(amount, by: weights)
            #expect(parts.reduce(0, +) == amount)
            let sum = weights.reduce(0, +)
            guard sum > 0 else { continue }
            for (part, weight) in zip(parts, weights) {
                #expect(abs(Double(part) - Double(amount) * Double(weight) / Double(sum)) < 1)
            }
        }
    }

    @Test func `money says itself with its currency's decimals`() {
        #expect("\(Money(4_505, .eur))" == "45.05 EUR")
        #expect("\(Money(-5, .eur))" == "-0.05 EUR")
        #expect("\(Money(500, Currency("JPY")!))" == "500 JPY")
        #expect(Currency("XXX") == nil)
    }

    @Test(arguments: [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", true),
        ("", false), ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1", false),
        ("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false),
        ("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
        ("00-00000000000000000000000000000000-b7ad6b7169203331-01", false),
        ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false),
        ("00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
        ("00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01", false),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-", false),
    ])
    func `a trace is told from what only looks like one`(text: String, isTrace: Bool) {
        #expect(Correlation.isTrace(text) == isTrace)
    }

    @Test func `a literal segment wins over a parameter, and a wrong method is told from a wrong path`() {
        let table = RouteTable([
            (Route(.get, "/events/{id}", .anyone), "event"), (Route(.get, "/events/popular", .anyone), "popular"),
            (Route(.post, "/events/{event}/check-ins", .user), "check-in"),
        ])
        func name(_ path: Substring) -> String {
            switch table.match(.get, path) {
            case .found(let name, let parameters): name + parameters.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
            case .methodNotAllowed(let allowed): "allowed: \(allowed.map(\.rawValue))"
            case .notFound: "none"
            }
        }
        #expect(name("/events/popular") == "popular")
        #expect(name("/events/a%20b") == "event id=a b")
        #expect(name("/events/x/check-ins") == "allowed: [\"POST\"]")
        for path in ["/", "/events", "/events/", "/events/%00", "/events/%zz", "/events/%ff", "//events/x", "/events/x/"] as [Substring] {
            #expect(name(path) == "none", "\(path)")
        }
    }
}

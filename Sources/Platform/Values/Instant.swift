#if canImport(Glibc)
    import Glibc
#endif

/// A moment in UTC, counted in microseconds since 1970-01-01T00:00:00Z.
///
/// Stored as a `BIGINT`, written on the wire as RFC 3339 (`2027-05-01T18:30:00Z`; a fraction only where there is one).
public struct Instant: Hashable, Comparable, Sendable {
    public var microseconds: Int64

    public init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    public init(seconds: Int64) {
        self.microseconds = seconds * 1_000_000
    }

    /// The wall clock of this process.
    public static var now: Instant {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Instant(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000)
    }

    public var seconds: Int64 { microseconds.flooredDivision(by: 1_000_000) }

    public static func < (a: Instant, b: Instant) -> Bool { a.microseconds < b.microseconds }
    public static func + (a: Instant, b: TimeSpan) -> Instant { Instant(microseconds: a.microseconds + b.microseconds) }
    public static func - (a: Instant, b: TimeSpan) -> Instant { Instant(microseconds: a.microseconds - b.microseconds) }
    public static func - (a: Instant, b: Instant) -> TimeSpan { TimeSpan(microseconds: a.microseconds - b.microseconds) }
}

/// A length of time in microseconds.
public struct TimeSpan: Hashable, Comparable, Sendable {
    public var microseconds: Int64

    public init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    public static let zero = TimeSpan(microseconds: 0)
    public static func milliseconds(_ n: Int64) -> TimeSpan { TimeSpan(microseconds: n * 1_000) }
    public static func seconds(_ n: Int64) -> TimeSpan { TimeSpan(microseconds: n * 1_000_000) }
    public static func minutes(_ n: Int64) -> TimeSpan { .seconds(n * 60) }
    public static func hours(_ n: Int64) -> TimeSpan { .minutes(n * 60) }
    public static func days(_ n: Int64) -> TimeSpan { .hours(n * 24) }

    public var seconds: Double { Double(microseconds) / 1_000_000 }
    public var duration: Duration { .microseconds(microseconds) }
    /// As a field such as `Retry-After` tells it: whole, rounded up, and at least one.
    public var roundedUpToSeconds: Int64 { max(1, (microseconds + 999_999) / 1_000_000) }

    public static func < (a: TimeSpan, b: TimeSpan) -> Bool { a.microseconds < b.microseconds }
}

extension Instant {
    /// The proleptic Gregorian calendar in UTC. Days are counted from 1970-01-01 (Howard Hinnant's civil-from-days arithmetic).
    public var civil: (year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int, microsecond: Int) {
        let secondsOfEpoch = seconds
        let days = secondsOfEpoch.flooredDivision(by: 86_400)
        let secondOfDay = Int(secondsOfEpoch - days * 86_400)
        let z = days + 719_468
        let era = z.flooredDivision(by: 146_097)
        let dayOfEra = z - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = Int(dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
        let month = Int(shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9)
        let year = Int(yearOfEra + era * 400) + (month <= 2 ? 1 : 0)
        return (
            year, month, day, secondOfDay / 3_600, secondOfDay / 60 % 60, secondOfDay % 60,
            Int(microseconds - secondsOfEpoch * 1_000_000)
        )
    }

    /// The instant of a calendar time in UTC; nil where the calendar has no such time.
    public init?(
        year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0, microsecond: Int = 0
    ) {
        guard (1...12).contains(month), (0...9_999).contains(year),
            day >= 1, day <= Instant.days(inMonth: month, of: year),
            (0..<24).contains(hour), (0..<60).contains(minute), (0...60).contains(second),
            (0..<1_000_000).contains(microsecond)
        else { return nil }
        let y = Int64(month <= 2 ? year - 1 : year)
        let era = y.flooredDivision(by: 400)
        let yearOfEra = y - era * 400
        let shiftedMonth = Int64(month > 2 ? month - 3 : month + 9)
        let dayOfYear = (153 * shiftedMonth + 2) / 5 + Int64(day) - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * 146_097 + dayOfEra - 719_468
        let seconds = days * 86_400 + Int64(hour * 3_600 + minute * 60 + min(second, 59))
        self.init(microseconds: seconds * 1_000_000 + Int64(microsecond))
    }

    public static func days(inMonth month: Int, of year: Int) -> Int {
        switch month {
        case 4, 6, 9, 11: 30
        case 2: (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 29 : 28
        default: 31
        }
    }
}

extension Instant: CustomStringConvertible, LosslessStringConvertible {
    public var description: String {
        var text: [UInt8] = []
        text.reserveCapacity(27)
        append(to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    func append(to text: inout [UInt8]) {
        let c = civil
        func append(_ value: Int, digits: Int) {
            var divisor = 1
            for _ in 1..<digits { divisor *= 10 }
            while divisor > 0 {
                text.append(UInt8(48 + value / divisor % 10))
                divisor /= 10
            }
        }
        append(c.year, digits: 4)
        text.append(UInt8(ascii: "-"))
        append(c.month, digits: 2)
        text.append(UInt8(ascii: "-"))
        append(c.day, digits: 2)
        text.append(UInt8(ascii: "T"))
        append(c.hour, digits: 2)
        text.append(UInt8(ascii: ":"))
        append(c.minute, digits: 2)
        text.append(UInt8(ascii: ":"))
        append(c.second, digits: 2)
        if c.microsecond != 0 {
            text.append(UInt8(ascii: "."))
            append(c.microsecond, digits: 6)
            while text.last == UInt8(ascii: "0") { text.removeLast() }
        }
        text.append(UInt8(ascii: "Z"))
    }

    /// Reads RFC 3339: a date, `T`, a time with optional fraction, and `Z` or an offset.
    public init?(_ description: String) {
        var reader = DigitReader(description)
        guard let year = reader.number(4), reader.skip("-"), let month = reader.number(2), reader.skip("-"),
            let day = reader.number(2), reader.skip("T") || reader.skip("t"),
            let hour = reader.number(2), reader.skip(":"), let minute = reader.number(2), reader.skip(":"),
            let second = reader.number(2)
        else { return nil }
        var microsecond = 0
        if reader.skip(".") {
            guard let fraction = reader.fraction() else { return nil }
            microsecond = fraction
        }
        var offset: Int64 = 0
        if !(reader.skip("Z") || reader.skip("z")) {
            let sign: Int64
            if reader.skip("+") { sign = 1 } else if reader.skip("-") { sign = -1 } else { return nil }
            guard let hours = reader.number(2), reader.skip(":"), let minutes = reader.number(2), hours < 24, minutes < 60
            else { return nil }
            offset = sign * Int64(hours * 60 + minutes)
        }
        guard reader.isAtEnd,
            let local = Instant(
                year: year, month: month, day: day, hour: hour, minute: minute, second: second,
                microsecond: microsecond)
        else { return nil }
        self = local - .minutes(offset)
    }
}

extension Instant: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let instant = Instant(text) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "must be a time in RFC 3339, such as 2027-05-01T18:30:00Z")
        }
        self = instant
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

private struct DigitReader {
    private var rest: Substring.UTF8View

    init(_ text: String) { rest = Substring(text).utf8 }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard rest.first == UInt8(ascii: character) else { return false }
        rest.removeFirst()
        return true
    }

    mutating func number(_ digits: Int) -> Int? {
        var value = 0
        for _ in 0..<digits {
            guard let byte = rest.first, (48...57).contains(byte) else { return nil }
            value = value * 10 + Int(byte - 48)
            rest.removeFirst()
        }
        return value
    }

    mutating func fraction() -> Int? {
        var value = 0
        var count = 0
        while let byte = rest.first, (48...57).contains(byte) {
            if count < 6 { value = value * 10 + Int(byte - 48) }
            count += 1
            rest.removeFirst()
        }
        guard (1...9).contains(count) else { return nil }
        for _ in min(count, 6)..<6 { value *= 10 }
        return value
    }
}

extension Int64 {
    public func flooredDivision(by divisor: Int64) -> Int64 {
        let quotient = self / divisor
        return self % divisor < 0 ? quotient - 1 : quotient
    }
}

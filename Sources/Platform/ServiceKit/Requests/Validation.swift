import Discovery
import Values

/// Collects what is wrong with a body, so that all of it is told at once.
package struct Validation {
    private var errors: [Problem.Field] = []

    package init() {}

    package mutating func check(_ isValid: Bool, _ field: String, _ message: String) {
        if !isValid { errors.append(Problem.Field(field, message)) }
    }

    /// Text that is not blank and at most `limit` characters long.
    package mutating func text(_ value: String?, _ field: String, atMost limit: Int, isRequired: Bool = true) {
        guard let value else { return }
        if isRequired { check(value.contains { !$0.isWhitespace }, field, "must not be empty") }
        guard value.count <= limit else { return check(false, field, "must be at most \(limit) characters long") }
        // One character may be made of many thousand bytes, and what is told on to other services has its limit.
        check(value.utf8.count <= 8 * limit, field, "must be at most \(8 * limit) bytes long")
    }

    /// The same without line breaks and other controls.
    package mutating func line(_ value: String, _ field: String, atMost limit: Int) {
        text(value, field, atMost: limit)
        check(!value.unicodeScalars.contains { $0.properties.generalCategory == .control }, field, "must be one line")
    }

    /// Whether it is an address that mail can be sent to; whether somebody reads it, only a mail tells.
    package mutating func email(_ value: String?, _ field: String) {
        guard let value else { return }
        let hasDomain = value.utf8.split(separator: UInt8(ascii: "@")).last?.contains(UInt8(ascii: ".")) ?? false
        check(
            EmailAddress.isValid(value) && hasDomain, field,
            "must be an e-mail address in plain letters, such as ada@example.org; of a domain with others its form that begins with xn--")
    }

    package func end() throws {
        if !errors.isEmpty { throw Problem.invalid(errors) }
    }
}

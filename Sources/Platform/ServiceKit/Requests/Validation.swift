import Discovery

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
        check(value.count <= limit, field, "must be at most \(limit) characters long")
    }

    /// The same without line breaks and other controls.
    package mutating func line(_ value: String, _ field: String, atMost limit: Int) {
        text(value, field, atMost: limit)
        check(!value.unicodeScalars.contains { $0.properties.generalCategory == .control }, field, "must be one line")
    }

    /// Whether it can be an address at all; whether it is one, only a mail tells.
    package mutating func email(_ value: String?, _ field: String) {
        guard let value else { return }
        let parts = value.split(separator: "@", omittingEmptySubsequences: false)
        let isPlausible =
            parts.count == 2 && !parts[0].isEmpty && parts[1].contains(".") && value.utf8.count <= 254
            && !parts[1].hasPrefix(".") && !parts[1].hasSuffix(".")
            && value.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7F && !"<>,;:\"()[]\\".unicodeScalars.contains($0) }
        check(isPlausible, field, "must be an e-mail address, such as ada@example.org")
    }

    package func end() throws {
        if !errors.isEmpty { throw Problem.invalid(errors) }
    }
}

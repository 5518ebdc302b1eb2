package import Configuration
import Discovery

/// Settings that are read strictly: one that is there and cannot be meant is a mistake, and not the same as one that is missing.
extension ConfigSnapshotReader {
    /// A whole number. Throws `Problem` for one out of range, and for what is none.
    package func number(_ key: ConfigKey, default usual: Int, in range: ClosedRange<Int>) throws -> Int {
        let number = int(forKey: key, default: usual)
        try mustBeUsable(key) { _ = try requiredInt(forKey: key) }
        guard range.contains(number) else {
            throw Problem.badRequest("The setting \(key) is \(number); it must be from \(range.lowerBound) to \(range.upperBound).")
        }
        return number
    }

    package func text(_ key: ConfigKey, default usual: String) throws -> String {
        let text = string(forKey: key, default: usual)
        try mustBeUsable(key) { _ = try requiredString(forKey: key) }
        return text
    }

    package func flag(_ key: ConfigKey, default usual: Bool) throws -> Bool {
        let flag = bool(forKey: key, default: usual)
        try mustBeUsable(key) { _ = try requiredBool(forKey: key) }
        return flag
    }

    /// Nil where there is none.
    package func text(_ key: ConfigKey, isSecret: Bool = false) throws -> String? {
        let text = string(forKey: key, isSecret: isSecret)
        try mustBeUsable(key, isSecret: isSecret) { _ = try requiredString(forKey: key, isSecret: isSecret) }
        return text
    }

    package func texts(_ key: ConfigKey, isSecret: Bool = false, default usual: [String]) throws -> [String] {
        let texts = stringArray(forKey: key, isSecret: isSecret, default: usual)
        try mustBeUsable(key, isSecret: isSecret) { _ = try requiredStringArray(forKey: key, isSecret: isSecret) }
        return texts
    }

    /// What reads with a default takes a value of the wrong type for a missing one. The library's error is not public; what it says of a
    /// missing value is held by a test.
    private func mustBeUsable(_ key: ConfigKey, isSecret: Bool = false, _ read: () throws -> Void) throws {
        do {
            try read()
        } catch {
            guard !"\(error)".hasPrefix("Missing required config value") else { return }
            throw Problem.badRequest("The setting \(key) cannot be used: \(isSecret ? "it has another type" : "\(error)")")
        }
    }
}

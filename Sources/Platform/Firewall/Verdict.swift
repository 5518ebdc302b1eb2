/// What the rules say about a request.
package enum Verdict: Hashable, Sendable {
    case allowed
    case refused(Finding)
    /// Its body cannot be taken apart, or has too many values, so that nobody can tell what is in it.
    case unreadable(Finding)

    /// What the rules found.
    package struct Finding: Hashable, Sendable {
        /// The numbers of the rules that matched, in their order.
        package var rules: [Int]
        /// The first rule's own words; nothing of the request.
        package var reason: String
    }
}

/// Why there are no rules to judge by.
package enum RuleSetError: Error, Hashable, Sendable, CustomStringConvertible {
    case missing(folder: String)
    /// libmodsecurity refused a file; its words.
    case unusable(file: String, reason: String)

    package var description: String {
        switch self {
        case .missing(let folder): "There is no OWASP Core Rule Set in \(folder)."
        case .unusable(let file, let reason): "The rules in \(file) cannot be used: \(reason)."
        }
    }
}

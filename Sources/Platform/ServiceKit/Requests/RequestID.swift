import Discovery
import HTTPTypes
import Values

/// What a request is called in logs and in problem documents.
package enum RequestID {
    /// The one that the caller has chosen, if it is a plausible one; else a new one.
    package static func of(_ request: IncomingRequest) -> String { of(request.headers.value(of: .requestID)) }

    package static func of(_ given: String?) -> String {
        guard let given, isPlausible(given) else {
            var random = QuickRandom()
            return String(random.next(), radix: 36)
        }
        return given
    }

    private static func isPlausible(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { (48...57).contains($0) || (97...122).contains($0) || (65...90).contains($0) || $0 == 45 || $0 == 95 }
    }
}

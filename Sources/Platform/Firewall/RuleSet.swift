internal import CModSecurity
internal import Glibc
internal import Synchronization

/// libmodsecurity with the OWASP Core Rule Set at paranoia level 1. Judging takes milliseconds of the caller's thread, and many threads may
/// do it at once.
@safe
final class RuleSet: Sendable {
    /// Reading rules uses memory of the whole process without a lock.
    private static let reading = Mutex(())

    private nonisolated(unsafe) let engine: OpaquePointer
    private nonisolated(unsafe) let rules: OpaquePointer
    /// The rules' own words, by their numbers.
    private let messages: [Int: String]

    /// Takes a tenth of a second.
    init(_ text: RuleText) throws(RuleSetError) {
        let parts = try text.parts()
        messages = RuleText.messages(in: parts.map(\.text))
        let made: Result<(OpaquePointer, OpaquePointer), RuleSetError> = unsafe RuleSet.reading.withLock { _ in
            guard let engine = unsafe msc_init(), let rules = unsafe msc_create_rules_set() else {
                preconditionFailure("libmodsecurity could not start")
            }
            unsafe msc_set_log_cb(engine) { findings, line in unsafe RuleSet.note(line, in: findings) }
            for (name, text) in parts {
                var complaint: UnsafePointer<CChar>?
                guard unsafe msc_rules_add(rules, text, &complaint) >= 0 else {
                    let reason = unsafe complaint.map { unsafe String(cString: $0) } ?? "it does not say why"
                    unsafe msc_rules_cleanup(rules)
                    unsafe msc_cleanup(engine)
                    return unsafe .failure(.unusable(file: name, reason: reason))
                }
            }
            return unsafe .success((engine, rules))
        }
        unsafe (engine, rules) = unsafe try made.get()
    }

    deinit {
        unsafe msc_rules_cleanup(rules)
        unsafe msc_cleanup(engine)
    }

    func judge(_ request: WebRequest) -> Verdict {
        let findings = Findings(messages)
        let context = unsafe Unmanaged.passUnretained(findings).toOpaque()
        guard let transaction = unsafe msc_new_transaction(engine, rules, context) else {
            preconditionFailure("libmodsecurity has no memory")
        }
        defer { unsafe msc_transaction_cleanup(transaction) }
        return withExtendedLifetime(findings) {
            unsafe msc_process_connection(transaction, request.peer, 0, "127.0.0.1", 0)
            unsafe msc_process_uri(transaction, request.target, request.method, request.version)
            for (name, value) in request.fields { unsafe RuleSet.add(name, value, to: transaction) }
            unsafe msc_process_request_headers(transaction)
            if let verdict = unsafe RuleSet.intervention(in: transaction, findings) { return verdict }
            if !request.body.isEmpty { unsafe msc_append_request_body(transaction, request.body, request.body.count) }
            unsafe msc_process_request_body(transaction)
            return unsafe RuleSet.intervention(in: transaction, findings) ?? .allowed
        }
    }

    private static func add(_ name: String, _ value: String, to transaction: OpaquePointer) {
        var name = name
        var value = value
        name.withUTF8 { name in
            value.withUTF8 { value in
                // An empty value has no address, which would be taken for none.
                guard let start = name.baseAddress else { return }
                let empty: StaticString = ""
                unsafe _ = msc_add_n_request_header(
                    transaction, start, name.count, value.baseAddress ?? empty.utf8Start, value.count)
            }
        }
    }

    /// What is to be done about a request after one of its phases; nil for nothing.
    private static func intervention(in transaction: OpaquePointer, _ findings: Findings) -> Verdict? {
        var intervention = unsafe ModSecurityIntervention_t()
        unsafe intervention.status = 200
        let isCalledFor = unsafe msc_intervention(transaction, &intervention) != 0
        // A rule that refuses by itself says so here alone.
        if let log = unsafe intervention.log { findings.add(unsafe String(cString: log)) }
        unsafe free(intervention.url)
        unsafe free(intervention.log)
        guard isCalledFor else { return nil }
        return unsafe intervention.status == 400 ? .unreadable(findings.finding) : .refused(findings.finding)
    }

    /// One rule matched; libmodsecurity says so in a line with `[id "942100"]`, and with what it found, which is not kept.
    private static func note(_ line: UnsafeRawPointer?, in findings: UnsafeMutableRawPointer?) {
        guard let line = unsafe line, let findings = unsafe findings else { return }
        let text = unsafe String(cString: line.assumingMemoryBound(to: CChar.self))
        unsafe Unmanaged<Findings>.fromOpaque(findings).takeUnretainedValue().add(text)
    }
}

/// What is found about one request while it is judged, by the thread that judges it.
private final class Findings {
    /// The sum of all others.
    private static let score = 949_110

    private let messages: [Int: String]
    private(set) var finding = Verdict.Finding(rules: [], reason: "")

    init(_ messages: [Int: String]) {
        self.messages = messages
    }

    /// What was found stands before the number, and may look like one: of all that look like one only those of rules are taken.
    func add(_ line: String) {
        var rest = line[...]
        while let mark = rest.firstRange(of: "[id \"") {
            rest = rest[mark.upperBound...]
            guard let rule = Int(rest.prefix { $0 != "\"" }), rule != Findings.score, let message = messages[rule] else { continue }
            if !finding.rules.contains(rule) { finding.rules.append(rule) }
            if finding.reason.isEmpty { finding.reason = message }
        }
    }
}

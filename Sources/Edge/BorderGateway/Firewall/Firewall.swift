import CoreMetrics
import Discovery
package import Firewall
import Logging
import NIOCore
import NIOHTTP1
import Synchronization
import Values

/// Holds back requests that carry an attack: those that are of no harmless shape are judged by the OWASP Core Rule Set.
package final class Firewall: Sendable {
    package enum Mode: String, CaseIterable, Sendable {
        /// What the rules stop is refused.
        case on
        /// What the rules stop is counted, logged, and passes.
        case report
        case off
    }

    package struct Settings: Hashable, Sendable {
        package var mode: Mode
        /// The folder of the Core Rule Set.
        package var rules: String
    }

    /// How long a request may wait for its verdict.
    static let time = TimeSpan.seconds(2)

    /// What people write is kept, shown with its marks escaped, and never part of a statement, a command or a program.
    package static let exceptions = RuleExceptions(
        lines: ["name", "city", "street", "gate", "device", "label", "reference"], lineParameters: ["query", "city"],
        texts: ["description", "summary", "reason"], addresses: ["email"],
        secrets: ["password", "newPassword", "currentPassword", "token", "refreshToken"], secretParameters: ["token"])

    static let overloaded = Refusal(
        .unavailable("Too much is asked at the moment. Try again in a few seconds.", retryAfter: 2), closes: false)
    static let refused = Refusal(
        Problem(
            403, "refused-by-firewall", "The request looks like an attack",
            detail: "If it is none, write it in other words, or tell those who run this system its request id."), closes: false)
    static let unreadable = Refusal(
        .badRequest("The body must be JSON. Of its values at most \(RuleSetPool.mostValues) may have other than plain letters and digits."),
        closes: false)

    /// What there is to judge by, and what it has let pass before.
    private final class RulesInForce: Sendable {
        let folder: String
        let pool: RuleSetPool
        let known = KnownHeads()

        /// How many requests of each sender wait for their verdicts.
        private let waiting = Mutex<[IPAddress: Int]>([:])

        /// False where as many of one sender's wait as may: the others shall have their turn.
        func enter(_ sender: IPAddress) -> Bool {
            waiting.withLock { waiting in
                guard waiting[sender, default: 0] < Firewall.mostOfOne else { return false }
                waiting[sender, default: 0] += 1
                return true
            }
        }

        func leave(_ sender: IPAddress) {
            waiting.withLock { waiting in waiting[sender] = waiting[sender].flatMap { $0 > 1 ? $0 - 1 : nil } }
        }

        init(_ folder: String) throws(RuleSetError) {
            self.folder = folder
            pool = try RuleSetPool(folder: folder, exceptions: Firewall.exceptions)
        }
    }

    private struct State {
        var rules: RulesInForce?
        /// The folder of rules that are being read to take the place of those, or that could not be.
        var next: (folder: String, failedAt: Instant?)?
    }

    /// Other rules that could not be read are read again after this.
    private static let pauseAfterFailure = TimeSpan.seconds(10)
    /// How many requests of one sender may wait for their verdicts.
    static let mostOfOne = 128

    private struct TooManyOfOne: Error {}

    private let check = FastCheck()
    private let state = Mutex(State())
    private let isOpen = Atomic(false)
    private let logger: Logger
    private let fast = Firewall.counter("fast")
    private let allowed = Firewall.counter("allowed")
    private let reported = Firewall.counter("reported")
    private let refusals = Firewall.counter("refused")
    private let unreadables = Firewall.counter("unreadable")
    private let overloads = Firewall.counter("overloaded")

    private static func counter(_ verdict: String) -> Counter {
        Counter(label: "gateway_firewall_total", dimensions: [("verdict", verdict)])
    }

    init(logger: Logger) {
        self.logger = logger
    }

    // MARK: The rules

    /// From now on requests are judged. Throws where there are no rules to judge by.
    func open(_ settings: Settings) throws {
        isOpen.store(true, ordering: .relaxed)
        try check(settings)
    }

    /// Throws where these settings need rules that are not there.
    func check(_ settings: Settings) throws {
        guard isOpen.load(ordering: .relaxed), settings.mode != .off else { return }
        do {
            try RuleSetPool.check(folder: settings.rules)
        } catch {
            throw BorderGatewayConfiguration.Invalid(
                description: """
                    \(error) Install the Debian package modsecurity-crs, name its folder in borderGateway.firewall.rules, or set \
                    borderGateway.firewall.mode to off.
                    """)
        }
    }

    /// Reads the rules, before the first request needs them.
    func load(_ settings: Settings) async throws {
        guard settings.mode != .off else { return }
        try await rulesInForce(settings.rules).pool.load()
    }

    /// Who judges. Other rules than before take their place once they are read; if they cannot be, those of before stay.
    private func rulesInForce(_ folder: String) throws(RuleSetError) -> RulesInForce {
        let (rules, isNew) = try state.withLock { state throws(RuleSetError) in
            guard let rules = state.rules else {
                let first = try RulesInForce(folder)
                state.rules = first
                return (first, false)
            }
            if rules.folder == folder { return (rules, false) }
            if let next = state.next, next.folder == folder {
                guard let failedAt = next.failedAt, failedAt + Firewall.pauseAfterFailure < .now else { return (rules, false) }
            }
            state.next = (folder, nil)
            return (rules, true)
        }
        // Of no request: whoever asks now is judged by those of before.
        if isNew { Task { await replace(by: folder) } }
        return rules
    }

    private func replace(by folder: String) async {
        do {
            let rules = try RulesInForce(folder)
            try await rules.pool.load()
            state.withLock { state in
                guard state.next?.folder == folder else { return }
                state.rules = rules
                state.next = nil
            }
        } catch {
            logger.error("the firewall's new rules cannot be read; those of before stay", metadata: ["error": "\(error)"])
            state.withLock { if $0.next?.folder == folder { $0.next?.failedAt = .now } }
        }
    }

    // MARK: Requests

    /// Whether a request may go on at once. In the mode `report` all may, and those that need it are judged meanwhile.
    /// - Parameter body: nil where it is a stream, which nobody looks into.
    func letsPass(_ admission: Admission, _ body: ByteBuffer?, _ settings: Settings, on loop: any EventLoop) -> Bool {
        guard settings.mode != .off else { return true }
        let oddities = check.oddities(admission.head.headers)
        if check.passes(method: admission.head.method, hasBody: body?.readableBytes ?? 0 > 0),
            check.passes(target: admission.target.text), body.map({ check.passes(body: $0) }) ?? true,
            oddities.isEmpty || isKnown(oddities, settings)
        {
            fast.increment()
            return true
        }
        guard settings.mode == .report else { return false }
        judge(admission, body, settings, on: loop).whenComplete { _ in }
        return true
    }

    private func isKnown(_ oddities: FastCheck.Oddities, _ settings: Settings) -> Bool {
        (try? rulesInForce(settings.rules))?.known.contains(oddities) ?? false
    }

    /// Asks the rule set. Counts and logs what it says.
    /// - Returns: why the request goes no further; nil where it does.
    func judge(_ admission: Admission, _ body: ByteBuffer?, _ settings: Settings, on loop: any EventLoop) -> EventLoopFuture<Refusal?> {
        let rules: RulesInForce
        do {
            rules = try self.rulesInForce(settings.rules)
        } catch {
            return loop.makeSucceededFuture(withoutVerdict(error))
        }
        let sender = admission.client.household
        guard rules.enter(sender) else { return loop.makeSucceededFuture(withoutVerdict(TooManyOfOne())) }
        let deadline = NIODeadline.now() + .microseconds(Firewall.time.microseconds)
        return rules.pool.judge(WebRequest(admission, body, remainder: body.flatMap { check.remainder(of: $0) }), until: deadline, on: loop)
            .always { _ in rules.leave(sender) }
            .map { [self] verdict in conclude(verdict, of: admission, body, rules, settings.mode) }
            .flatMapErrorThrowing { [self] error in withoutVerdict(error) }
    }

    private func conclude(_ verdict: Verdict, of admission: Admission, _ body: ByteBuffer?, _ rules: RulesInForce, _ mode: Mode) -> Refusal?
    {
        let finding: Verdict.Finding
        switch verdict {
        case .allowed:
            allowed.increment()
            // Without its head it would have passed at once.
            if check.passes(target: admission.target.text), body.map({ check.passes(body: $0) }) ?? true {
                rules.known.insert(check.oddities(admission.head.headers))
            }
            return nil
        case .refused(let found): finding = found
        case .unreadable:
            unreadables.increment()
            return mode == .report ? nil : Firewall.unreadable
        }
        (mode == .report ? reported : refusals).increment()
        logger.notice(
            mode == .report ? "the firewall would refuse a request" : "the firewall refused a request",
            metadata: [
                "rules": "\(finding.rules.map(String.init).joined(separator: " "))", "reason": "\(finding.reason)",
                "method": "\(admission.head.method)", "route": "\(admission.plan.name)", "client": "\(admission.client)",
                "requestId": "\(admission.requestID)",
            ])
        return mode == .report ? nil : Firewall.refused
    }

    private func withoutVerdict(_ error: any Error) -> Refusal {
        if !(error is RuleSetPool.Busy), !(error is TooManyOfOne) {
            logger.error("the firewall has no rules to judge by", metadata: ["error": "\(error)"])
        }
        overloads.increment()
        return Firewall.overloaded
    }

}

extension WebRequest {
    /// What goes on, or would: with the address in its one form. The gateway says itself how long the body is, and has checked who it is from.
    /// - Parameter remainder: what is judged instead of the body.
    fileprivate init(_ admission: Admission, _ body: ByteBuffer?, remainder: [UInt8]?) {
        let head = admission.head
        var fields = head.headers.compactMap { name, value in
            ["authorization", "content-length", "transfer-encoding"].contains(name) ? nil : (name: name, value: value)
        }
        let body = remainder ?? body.map { Array($0.readableBytesView) } ?? []
        if !body.isEmpty || [.POST, .PUT, .PATCH].contains(head.method) { fields.append((name: "content-length", value: "\(body.count)")) }
        self.init(
            peer: admission.client.description, method: head.method.rawValue, target: admission.target.text,
            version: "\(head.version.major).\(head.version.minor)", fields: fields, body: body)
    }
}

/// Heads that the rule set has let pass: those used last, in bounds.
final class KnownHeads: Sendable {
    /// Of either half.
    private static let most = 1_000
    /// Larger ones are judged each time.
    private static let largest = 4_096

    private struct Halves {
        var newer: Set<FastCheck.Oddities> = []
        var older: Set<FastCheck.Oddities> = []
    }

    private let halves = Mutex(Halves())

    func contains(_ oddities: FastCheck.Oddities) -> Bool {
        halves.withLock { halves in
            if halves.newer.contains(oddities) { return true }
            guard halves.older.contains(oddities) else { return false }
            KnownHeads.insert(oddities, into: &halves)
            return true
        }
    }

    func insert(_ oddities: FastCheck.Oddities) {
        guard !oddities.isEmpty, oddities.fields.reduce(0, { $0 + $1.utf8.count }) <= KnownHeads.largest else { return }
        halves.withLock { KnownHeads.insert(oddities, into: &$0) }
    }

    private static func insert(_ oddities: FastCheck.Oddities, into halves: inout Halves) {
        if halves.newer.count >= most {
            halves.older = halves.newer
            halves.newer = []
        }
        halves.newer.insert(oddities)
    }
}

import Configuration
import Values

/// What can be set for PaymentProcessing. Read once, at start.
struct PaymentProcessingConfiguration: Sendable {
    /// `providers`: names of the providers that buyers may choose. Default `manual`. The sandbox is added by its own setting.
    let providers: [String]
    /// `sandbox.enabled`: whether the sandbox is offered, which moves no money. Default false; `--demo` sets it.
    let isSandboxEnabled: Bool
    /// `sandbox.confirmationURL`: where a buyer confirms a charge, `{chargeId}` being its id. Default `/api/v1/sandbox/charges/{chargeId}/confirm`.
    let confirmationURL: String
    /// `manual.account`: a text for who pays by bank transfer, such as the account's number. Default: none.
    let manualAccount: String
    /// `provider.milliseconds`: how long an answer of a provider is waited for; after that the outcome is unknown. Default 6000.
    let providerTime: TimeSpan
    /// `lookup.seconds`: after how long an unknown outcome is looked up; doubles each time up to 5 minutes. Default 10.
    let lookupInterval: TimeSpan
    /// `announce.seconds`: how often a capture is announced until Sales has settled it. Default 5.
    let announceInterval: TimeSpan
    /// `attempts.most`: how many attempts a payment may have. Default 20.
    let mostAttempts: Int64

    init(_ reader: ConfigReader) throws {
        providers = reader.stringArray(forKey: "providers", default: ["manual"]).filter { !$0.isEmpty && $0 != "sandbox" }
        isSandboxEnabled = reader.bool(forKey: "sandbox.enabled", default: false)
        confirmationURL = reader.string(
            forKey: "sandbox.confirmationURL", default: "/api/v1/sandbox/charges/{chargeId}/confirm")
        manualAccount = reader.string(forKey: "manual.account", default: "")
        providerTime = .milliseconds(
            try PaymentProcessingConfiguration.number(reader, "provider.milliseconds", default: 6_000, in: 1...60_000))
        lookupInterval = .seconds(try PaymentProcessingConfiguration.number(reader, "lookup.seconds", default: 10, in: 0...3_600))
        announceInterval = .seconds(try PaymentProcessingConfiguration.number(reader, "announce.seconds", default: 5, in: 0...3_600))
        mostAttempts = try PaymentProcessingConfiguration.number(reader, "attempts.most", default: 20, in: 1...1_000)
        for name in providers where name != ManualProvider.name {
            throw PaymentProcessingConfigurationError(
                description: "the setting providers names \(name), which this program does not know; it knows \(ManualProvider.name)")
        }
    }

    private static func number(
        _ reader: ConfigReader, _ key: ConfigKey, default value: Int, in range: ClosedRange<Int>
    ) throws -> Int64 {
        let number = reader.int(forKey: key, default: value)
        guard range.contains(number) else {
            throw PaymentProcessingConfigurationError(description: "the setting \(key) is \(number); it must be in \(range)")
        }
        return Int64(number)
    }

    /// When to ask again after `checks` questions without an answer that decides.
    func nextCheck(after checks: Int64, from now: Instant) -> Instant {
        let factor = Int64(1) << min(max(checks, 0), 8)
        return now + min(TimeSpan(microseconds: lookupInterval.microseconds * factor), max(.minutes(5), lookupInterval))
    }
}

/// A setting that the service cannot start with.
struct PaymentProcessingConfigurationError: Error, CustomStringConvertible {
    let description: String
}

import Configuration
import ServiceKit
import Values

/// What can be set for PaymentProcessing. It may change while it runs, but for what is said to be read at the start.
struct PaymentProcessingConfiguration: Sendable {
    /// `providers`: names of the providers that buyers may choose. Default `manual`. The sandbox is added by its own setting.
    let providers: [String]
    /// `sandbox.enabled`: whether the sandbox is offered, which moves no money. Default false; `--demo` sets it. Read at the start.
    let isSandboxEnabled: Bool
    /// `sandbox.confirmationURL`: where a buyer confirms a charge, `{chargeId}` being its id. Default
    /// `/api/v1/sandbox/charges/{chargeId}/confirm`. Read at the start.
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

    /// Throws for a setting that cannot be meant.
    init(_ reader: ConfigSnapshotReader) throws {
        providers = try reader.texts("providers", default: ["manual"]).filter { !$0.isEmpty && $0 != "sandbox" }
        isSandboxEnabled = try reader.flag("sandbox.enabled", default: false)
        confirmationURL = try reader.text("sandbox.confirmationURL", default: "/api/v1/sandbox/charges/{chargeId}/confirm")
        manualAccount = try reader.text("manual.account", default: "")
        providerTime = .milliseconds(Int64(try reader.number("provider.milliseconds", default: 6_000, in: 1...60_000)))
        lookupInterval = .seconds(Int64(try reader.number("lookup.seconds", default: 10, in: 0...3_600)))
        announceInterval = .seconds(Int64(try reader.number("announce.seconds", default: 5, in: 0...3_600)))
        mostAttempts = Int64(try reader.number("attempts.most", default: 20, in: 1...1_000))
        for name in providers where name != ManualProvider.name {
            throw PaymentProcessingConfigurationError(
                description: "the setting providers names \(name), which this program does not know; it knows \(ManualProvider.name)")
        }
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

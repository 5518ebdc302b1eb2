import Contracts
import Discovery
import ServiceKit
import Values

/// The providers that this deployment knows, and those of them that a buyer may choose.
struct Providers: Sendable {
    private let known: [String: any PaymentProvider]
    private let alwaysOffered: [String]
    private let configuration: LiveSettings<PaymentProcessingConfiguration>

    /// - Parameters:
    ///   - known: also those that are not offered any more, for what was begun with them.
    ///   - alwaysOffered: beside those of the settings.
    init(known: [any PaymentProvider], alwaysOffered: [String], configuration: LiveSettings<PaymentProcessingConfiguration>) {
        self.known = Dictionary(known.map { ($0.name, $0) }) { first, _ in first }
        self.alwaysOffered = alwaysOffered
        self.configuration = configuration
    }

    /// In the order in which they are named to buyers.
    var offered: [String] { configuration.providers + alwaysOffered }

    /// The mistakes in a buyer's choice.
    func check(_ choice: PaymentChoice, at path: String = "") throws {
        guard offered.contains(choice.provider), let provider = known[choice.provider] else {
            throw Problem.invalid("\(path)provider", "must be one of those offered: \(offered.joined(separator: ", "))")
        }
        if let mistake = provider.mistake(in: choice.method) { throw Problem.invalid("\(path)method", mistake) }
    }

    func find(_ name: String) -> (any PaymentProvider)? { known[name] }

    /// Calls a provider and waits no longer than the limit. What it throws, this throws: the outcome is unknown.
    func ask<Answer: Sendable>(
        _ name: String, _ question: @escaping @Sendable (any PaymentProvider) async throws -> Answer
    ) async throws -> Answer {
        guard let provider = known[name] else {
            throw Problem.unavailable("The payment provider \(name) is not set up here at the moment.", retryAfter: 60)
        }
        do {
            return try await within(configuration.providerTime) { try await question(provider) }
        } catch is TimeIsOver {
            throw Problem.unavailable("The payment provider does not answer.", retryAfter: 5)
        }
    }
}

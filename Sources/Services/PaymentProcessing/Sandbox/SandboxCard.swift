import Values

/// A test number and what is asked of the sandbox besides, such as `4242424242424242;delay=2;webhooks=duplicate`. The numbers are
/// Stripe's own.
///
/// | option | meaning |
/// |---|---|
/// | `delay=SECONDS` | each answer comes so late, up to 30; the charge is made before |
/// | `webhooks=duplicate` | each comes twice |
/// | `webhooks=reorder` | a `charge.failed` follows the `charge.succeeded` |
/// | `webhooks=late` | they come after 30 seconds |
/// | `webhooks=none` | they never come |
/// | `webhooks=only` | the answer is "not decided yet", the outcome comes by webhook |
/// | `amount=MINOR` | captures another amount than was asked for |
/// | `refunds=once` | the first submission of each refund fails |
/// | `refunds=fail` | every submission of a refund fails |
///
/// Several webhook options are joined by `+`.
struct SandboxCard: Sendable {
    enum Behavior: Sendable {
        case captures
        case fails(String)
        case asksForConfirmation
    }

    enum Webhooks: String, Sendable {
        case duplicate, reorder, late, none, only
    }

    enum Refunds: String, Sendable {
        case once, fail
    }

    let behavior: Behavior
    let delay: TimeSpan
    let webhooks: Set<Webhooks>
    let amount: Int64?
    let refunds: Refunds?

    /// Nil for what is no test number, or has an option that is not known.
    init?(_ method: String?) {
        guard let parts = method?.split(separator: ";", omittingEmptySubsequences: false), let number = parts.first,
            let behavior = SandboxCard.behavior(of: number.filter { $0 != " " })
        else { return nil }
        var delay = TimeSpan.zero
        var webhooks: Set<Webhooks> = []
        var amount: Int64?
        var refunds: Refunds?
        for part in parts.dropFirst() {
            let option = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard option.count == 2 else { return nil }
            let value = option[1]
            switch option[0] {
            case "delay":
                guard let seconds = Int64(value), (0...30).contains(seconds) else { return nil }
                delay = .seconds(seconds)
            case "webhooks":
                for name in value.split(separator: "+", omittingEmptySubsequences: false) {
                    guard let option = Webhooks(rawValue: String(name)) else { return nil }
                    webhooks.insert(option)
                }
            case "amount":
                guard let minor = Int64(value), (1...1_000_000_000_000).contains(minor) else { return nil }
                amount = minor
            case "refunds":
                guard let option = Refunds(rawValue: String(value)) else { return nil }
                refunds = option
            default: return nil
            }
        }
        self.behavior = behavior
        self.delay = delay
        self.webhooks = webhooks
        self.amount = amount
        self.refunds = refunds
    }

    private static func behavior(of number: String) -> Behavior? {
        switch number {
        case "4242424242424242": .captures
        case "4000000000000002": .fails("card-declined")
        case "4000000000009995": .fails("insufficient-funds")
        case "4000002500003155": .asksForConfirmation
        default: nil
        }
    }
}

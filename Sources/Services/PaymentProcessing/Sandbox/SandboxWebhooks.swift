import HTTPTypes
import Logging
import Storage
import Values

/// Delivers the sandbox's webhooks to the door by which a real provider's would come in, signed.
struct SandboxWebhooks: Sendable {
    private static let batch = 100
    private static let width = 16
    /// Bounds one run of the job; what is left is for the next.
    private static let mostBatches = 50

    let provider: SandboxProvider
    let events: ProviderEvents
    let logger: Logger

    @Sendable func deliverDue() async throws {
        for _ in 0..<SandboxWebhooks.mostBatches {
            let due = try await provider.database.read { tx in
                try SandboxStore.dueWebhooks(limit: SandboxWebhooks.batch, in: tx)
            }
            guard !due.isEmpty else { return }
            let delivered = await deliver(due)
            let failed = due.map(\.id).filter { !delivered.contains($0) }
            try await provider.database.write { tx in
                try SandboxStore.removeWebhooks(Array(delivered), in: tx)
                try SandboxStore.postponeWebhooks(failed, by: .seconds(10), in: tx)
            }
            if due.count < SandboxWebhooks.batch { return }
        }
    }

    /// - Returns: those that were accepted.
    private func deliver(_ webhooks: [SandboxStore.Webhook]) async -> Set<SandboxWebhookID> {
        await withTaskGroup(of: SandboxWebhookID?.self) { group in
            var delivered: Set<SandboxWebhookID> = []
            for (index, webhook) in webhooks.enumerated() {
                if index >= SandboxWebhooks.width, let done = await group.next() { done.map { _ = delivered.insert($0) } }
                group.addTask { await deliver(webhook) ? webhook.id : nil }
            }
            for await done in group { done.map { _ = delivered.insert($0) } }
            return delivered
        }
    }

    private func deliver(_ webhook: SandboxStore.Webhook) async -> Bool {
        let body = Array(webhook.json.utf8)
        let headers: HTTPFields = [
            .contentType: "application/json", .sandboxSignature: provider.signature.sign(body, at: .now),
        ]
        do {
            try await events.receive(provider.name, headers, body)
            return true
        } catch {
            logger.warning(
                "a webhook of the sandbox was not accepted; it is sent again",
                metadata: ["webhook": "\(webhook.id)", "error": "\(error)"])
            return false
        }
    }
}

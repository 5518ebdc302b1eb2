import Contracts
import Discovery
import Logging
import Mail
import ServiceKit
import Storage
import Values

/// Sends deliveries, each at least once. No transaction is open while a mail is made or sent.
struct DeliverySender: Sendable {
    static let batch = 16

    let database: Database
    let composer: MailComposer
    let postOffice: PostOffice
    let configuration: LiveSettings<NotificationConfiguration>
    let faults: Faults
    let logger: Logger

    /// Takes a batch of what is due and sends it.
    /// - Returns: how many it took.
    func sendDue() async throws -> Int {
        let isDue = try await database.read { tx in
            try tx.row("SELECT id FROM delivery WHERE state = 'pending' AND next_attempt_at <= \(tx.now) LIMIT 1") != nil
        }
        guard isDue else { return 0 }
        let (lease, concurrency) = (configuration.lease, configuration.concurrency)
        let due = try await database.write { tx in try DeliveryStore.claim(limit: DeliverySender.batch, lease: lease, in: tx) }
        var waiting = due[...]
        try await withThrowingTaskGroup(of: Void.self) { group in
            // Whoever begins by then is done before the lease is over.
            let safe = Instant.now + TimeSpan(microseconds: lease.microseconds / 8)
            for delivery in waiting.prefix(concurrency) { group.addTask { try await send(delivery, safeUntil: safe) } }
            waiting = waiting.dropFirst(concurrency)
            while try await group.next() != nil {
                // Who is to stop leaves the rest.
                if !Job.isToStop, let delivery = waiting.popFirst() { group.addTask { try await send(delivery, safeUntil: safe) } }
            }
        }
        let left = waiting
        if !left.isEmpty { try await database.write { tx in try DeliveryStore.giveBack(Array(left), in: tx) } }
        return due.count
    }

    private func send(_ delivery: Delivery, safeUntil safe: Instant) async throws {
        do {
            let mail: MailMessage
            switch try await composer.compose(delivery) {
            case .mail(let composed): mail = composed
            case .obsolete(let reason):
                logger.info(
                    "a mail was not sent, for it is no longer true", metadata: ["delivery": "\(delivery.id)", "reason": "\(reason)"])
                try await database.write { tx in try DeliveryStore.end(delivery.id, as: .canceled, because: reason, in: tx) }
                return
            }
            try await faults.point("notification.mail-composed")
            guard try await isMine(delivery, safeUntil: safe) else { return }
            try await postOffice.mailer.send(mail)
            try await faults.point("notification.mail-sent")
            try await database.write { tx in try DeliveryStore.sent(delivery.id, subject: mail.subject, in: tx) }
            logger.info("a mail was sent", metadata: ["delivery": "\(delivery.id)", "kind": "\(delivery.kind.rawValue)"])
        } catch let error as StorageError {
            // The lease ends by itself; the mail may come twice, under the same Message-ID.
            throw error
        } catch {
            try await fail(delivery, error)
        }
    }

    /// Where those that were taken with it have taken long, its lease is prolonged; one that was over is another's by now.
    private func isMine(_ delivery: Delivery, safeUntil safe: Instant) async throws -> Bool {
        if .now <= safe { return true }
        let lease = configuration.lease
        return try await database.write { tx in try DeliveryStore.keep(delivery, lease: lease, in: tx) }
    }

    private func fail(_ delivery: Delivery, _ error: any Error) async throws {
        let isFinal =
            switch error {
            case MailError.refused, MailError.invalid: true
            default: false
            }
        let failure = String("\(error)".prefix(500))
        let next = try await database.write { tx -> Instant? in
            guard !isFinal, let next = delivery.nextAttempt(after: try tx.now) else {
                try DeliveryStore.end(delivery.id, as: .failed, because: failure, in: tx)
                return nil
            }
            try DeliveryStore.postpone(delivery.id, until: next, because: failure, in: tx)
            return next
        }
        logger.warning(
            next == nil ? "a mail was given up" : "a mail could not be sent; it is tried again",
            metadata: [
                "delivery": "\(delivery.id)", "attempt": "\(delivery.attempts)", "next": "\(next.map { "\($0)" } ?? "never")",
                "error": "\(failure)",
            ])
    }
}

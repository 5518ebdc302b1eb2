import Configuration
import Contracts
import Discovery
import Foundation
import HTTPTypes
import ServiceKit
import Storage
import Synchronization
import Testing
import Values

@testable import PaymentProcessing

@Suite("PaymentProcessing")
struct PaymentProcessingTests {
    static let card = "4242424242424242"
    static let declined = "4000000000000002"
    static let confirmed = "4000002500003155"

    // MARK: Paying

    @Test func `a payment is captured and booked, and told to who asked for it`() async throws {
        try await withPayments { payments in
            let answer = try await payments.create(Self.card)
            #expect(answer.status == 201)
            let payment = try answer.json(Payment.self)
            #expect(payment.state == .captured && payment.status == .captured)
            #expect(payment.captured == Money(1_000, .eur) && payment.refunded == Money(0, .eur))
            #expect(answer.headers[.location] == "/api/v1/payments/\(payment.id)")
            // Sales has heard it, and is asked what became of it: an event would say it once more.
            #expect(try await payments.service.sent(PaymentChanged.self).isEmpty)
            #expect(try await payments.count("payment WHERE announce_at IS NOT NULL") == 1)
            let ledger = try await payments.ledger()
            #expect(ledger.map(\.account).sorted() == ["buyer", "provider"])
            #expect(try await payments.charges() == 1)
        }
    }

    @Test func `an order has one payment and one charge, however often and however much at once it is asked for`() async throws {
        try await withPayments { payments in
            let answers = try await withThrowingTaskGroup(of: (Int, PaymentID).self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        let answer = try await payments.create(Self.card)
                        return (answer.status, try answer.json(Payment.self).id)
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(Set(answers.map(\.1)).count == 1)
            #expect(answers.count { $0.0 == 201 } == 1)
            #expect(try await payments.charges() == 1)
            #expect(try await payments.current().captured.amount == 1_000)
            let other = try await payments.create(Self.card, amount: 2_000)
            #expect(other.status == 409 && other.problem == "payment-differs")
        }
    }

    @Test func `after a declined card another one is a new attempt and one capture`() async throws {
        try await withPayments { payments in
            let first = try await payments.create(Self.declined).json(Payment.self)
            #expect(first.state == .open && first.status == .failed)
            #expect(first.attempts.first?.failure == "card-declined")
            let poor = try await payments.attempt("4000000000009995")
            #expect(try poor.json(Payment.self).attempts.last?.failure == "insufficient-funds")
            let second = try await payments.attempt(Self.card)
            #expect(second.status == 201)
            let payment = try second.json(Payment.self)
            #expect(payment.state == .captured && payment.attempts.map(\.status) == [.failed, .failed, .captured])
            #expect(payment.id == first.id)
            #expect(try await payments.charges() == 1)
            #expect(payments.sales.told.last?.state == .captured)
            #expect(try await payments.ledger().count == 2)
            let third = try await payments.attempt(Self.card)
            #expect(third.status == 409 && third.problem == "already-paid")
        }
    }

    @Test func `a charge that asks for a confirmation is decided by it and reaches the payment by webhook`() async throws {
        try await withPayments { payments in
            let payment = try await payments.create(Self.confirmed).json(Payment.self)
            #expect(payment.state == .open && payment.status == .requiresAction && payment.action?.type == .redirect)
            let path = try #require(payment.action?.url)
            let id = try #require(path.split(separator: "/").dropLast().last)
            #expect(id.utf8.count >= 30)
            let service = payments.service
            #expect(try await service.call(.post, path, json: #"{"approve": "yes"}"#).status == 422)
            let confirmation = try await service.call(.post, path, json: #"{"approve": true}"#)
            #expect(confirmation.status == 200)
            #expect(try confirmation.json(SandboxConfirmationAnswer.self).status == "captured")
            #expect(try await service.call(.post, path, json: #"{"approve": true}"#).status == 200)
            #expect(try await service.call(.post, path, json: #"{"approve": false}"#).status == 409)
            #expect(try await service.call(.post, path.replacing(id, with: "ch_0"), json: #"{"approve": true}"#).status == 404)
            #expect(try await payments.current().state == .open)
            try await service.run("sandbox.webhooks")
            #expect(try await payments.current().state == .captured)
            #expect(payments.sales.told.map(\.state) == [.captured])
        }
    }

    @Test func `a refused confirmation fails the attempt, and without a webhook the look-up finds it out`() async throws {
        try await withPayments { payments in
            let payment = try await payments.create("\(Self.confirmed);webhooks=none").json(Payment.self)
            let path = try #require(payment.action?.url)
            try await payments.service.call(.post, path, json: #"{"approve": false}"#)
            try await payments.service.run("sandbox.webhooks")
            #expect(try await payments.current().status == .requiresAction)
            try await payments.runDue("payments.lookups")
            let after = try await payments.current()
            #expect(after.state == .open && after.attempts.first?.failure == "confirmation-refused")
        }
    }

    // MARK: Webhooks

    @Test(arguments: ["duplicate", "reorder", "none", "only", "only+duplicate", "only+reorder", "only+none"])
    func `webhooks that come twice, in the wrong order or never lead to the same state`(_ webhooks: String) async throws {
        try await withPayments { payments in
            let first = try await payments.create("\(Self.card);webhooks=\(webhooks)").json(Payment.self)
            #expect(first.state == (webhooks.hasPrefix("only") ? .open : .captured))
            try await payments.service.run("sandbox.webhooks")
            try await payments.runDue("payments.lookups")
            try await payments.runDue("payments.events")
            let payment = try await payments.current()
            #expect(payment.state == .captured && payment.status == .captured)
            #expect(payment.captured == payment.amount && payment.refunds.isEmpty)
            #expect(try await payments.charges() == 1)
            #expect(try await payments.ledger().count == 2)
            #expect(try await payments.count("provider_event WHERE apply_at IS NOT NULL") == 0)
            #expect(try await payments.count("sandbox_webhook") == 0)
        }
    }

    @Test func `failed before succeeded is succeeded, and hours later nothing changes`() async throws {
        try await withPayments { payments in
            let payment = try await payments.create("\(Self.card);webhooks=only+none").json(Payment.self)
            let attempt = try #require(payment.attempts.first?.id)
            let failed = SandboxEvent(id: "evt_1", type: "charge.failed", attemptId: attempt)
            let succeeded = SandboxEvent(id: "evt_2", type: "charge.succeeded", attemptId: attempt, amount: payment.amount)
            #expect(try await payments.webhook(failed).status == 200)
            #expect(try await payments.current().status == .failed)
            #expect(try await payments.webhook(succeeded).status == 200)
            let paid = try await payments.current()
            #expect(paid.state == .captured && paid.attempts.map(\.status) == [.captured])
            for event in [failed, succeeded] {
                #expect(try await payments.webhook(event).status == 200)
                var again = event
                again.id += "-again"
                #expect(try await payments.webhook(again).status == 200)
            }
            #expect(try await payments.current() == paid)
            #expect(payments.sales.told.count == 1)
        }
    }

    @Test func `every order of what a provider says ends in the same state`() {
        let money = Money(1_000, .eur)
        let outcomes: [ProviderOutcome] = [
            .captured(money, reference: "x"), .failed("card-declined"), .pending, .notFound, .canceled,
            .requiresAction(PaymentAction(type: .redirect, url: "/")), .authorized(isPayLater: false),
        ]
        func permutations(_ rest: [ProviderOutcome], _ done: [ProviderOutcome], _ visit: ([ProviderOutcome]) -> Void) {
            if rest.isEmpty { visit(done) }
            for index in rest.indices {
                var others = rest
                let next = others.remove(at: index)
                permutations(others, done + [next], visit)
            }
        }
        permutations(outcomes, []) { order in
            var attempt = AttemptRecord(
                id: AttemptID(), paymentID: PaymentID(), provider: "sandbox", method: nil, returnURL: nil, amount: money, createdAt: .now)
            let effects = (order + order).map { attempt.hear($0) }
            #expect(attempt.state == .captured)
            #expect(effects.count { $0 == .captured } == 1)
        }
    }

    @Test func `a webhook that was accepted before the process died is applied by the next one`() async throws {
        try await withFolder { folder in
            let payment = try await withPayments(folder: folder, faults: "payments.event-stored=fail:1") { payments in
                let payment = try await payments.create("\(Self.card);webhooks=only+none").json(Payment.self)
                let event = SandboxEvent(
                    id: "evt_1", type: "charge.succeeded", attemptId: payment.attempts.first?.id, amount: payment.amount)
                #expect(try await payments.webhook(event).status == 200)
                #expect(try await payments.current().state == .open)
                return payment
            }
            try await withPayments(order: payment.orderId, folder: folder) { payments in
                try await payments.runDue("payments.events")
                #expect(try await payments.current().state == .captured)
                #expect(payments.sales.told.map(\.state) == [.captured])
            }
        }
    }

    @Test func `an event that matches nothing yet waits until it does`() async throws {
        try await withPayments { payments in
            let unknown = AttemptID()
            let event = SandboxEvent(id: "evt_1", type: "charge.succeeded", attemptId: unknown, amount: Money(1_000, .eur))
            #expect(try await payments.webhook(event).status == 200)
            try await payments.runDue("payments.events")
            #expect(try await payments.count("provider_event WHERE apply_at IS NOT NULL AND tries = 1") == 1)
            let payment = try await payments.create("\(Self.card);webhooks=only+none").json(Payment.self)
            let attempt = try #require(payment.attempts.first?.id)
            try await payments.sql("UPDATE provider_event SET json = REPLACE(json, \("\(unknown)"), \("\(attempt)"))")
            try await payments.runDue("payments.events")
            #expect(try await payments.current().state == .captured)
            #expect(try await payments.count("provider_event WHERE applied_at IS NOT NULL") == 1)
        }
    }

    @Test func `an event that never matches anything is given up in the end`() async throws {
        try await withPayments { payments in
            try await payments.webhook(
                SandboxEvent(id: "evt_1", type: "charge.succeeded", attemptId: AttemptID(), amount: Money(1_000, .eur)))
            try await payments.sql("UPDATE provider_event SET received_at = 0")
            try await payments.runDue("payments.events")
            #expect(try await payments.count("provider_event WHERE apply_at IS NULL AND applied_at IS NULL") == 1)
        }
    }

    @Test func `a webhook with a wrong, old or missing signature is refused and leaves no trace`() async throws {
        try await withPayments { payments in
            let payment = try await payments.create("\(Self.card);webhooks=only+none").json(Payment.self)
            let event = SandboxEvent(
                id: "evt_1", type: "charge.succeeded", attemptId: payment.attempts.first?.id, amount: payment.amount)
            let body = try JSON.text(of: event)
            let signature = try payments.signature
            let good = signature.sign(Array(body.utf8), at: .now)
            let others = [
                nil, "", "t=1", "nonsense", good + "0", good.replacing("v1=", with: "v0="), "t=9999999999999999999,v1=00",
                signature.sign(Array(body.utf8), at: .now - .minutes(6)), signature.sign(Array(body.utf8), at: .now + .minutes(6)),
                signature.sign(Array("\(body) ".utf8), at: .now), SandboxSignature(key: [1, 2, 3]).sign(Array(body.utf8), at: .now),
            ]
            for other in others {
                let answer = try await payments.service.call(
                    .post, "/api/v1/webhooks/sandbox", headers: other.map { ["Sandbox-Signature": $0] } ?? [:], json: body)
                #expect(answer.status == 400 && answer.problem == "bad-signature", "\(other ?? "none")")
            }
            #expect(try await payments.count("provider_event") == 0)
            #expect(try await payments.current().state == .open)
            for broken in ["{}", "[]", "nonsense", #"{"id":"","type":"x"}"#, #"{"id":"e","type":"charge.succeeded"}"#] {
                let answer = try await payments.service.call(
                    .post, "/api/v1/webhooks/sandbox",
                    headers: ["Sandbox-Signature": signature.sign(Array(broken.utf8), at: .now)], json: broken)
                #expect(answer.status == 400, "\(broken)")
            }
            for provider in ["manual", "stripe", "%F0%9F%98%80"] {
                #expect(try await payments.service.call(.post, "/api/v1/webhooks/\(provider)", json: body).status == 404)
            }
            #expect(try await payments.webhook(SandboxEvent(id: "evt_9", type: "account.updated")).status == 200)
        }
    }

    // MARK: Crashes and unknown outcomes

    @Test(arguments: ["payments.attempt-committed", "payments.provider-called"])
    func `a crash around the provider's call is finished by the next process with one charge`(_ point: String) async throws {
        for finishesByRepeating in [false, true] {
            try await withFolder { folder in
                let order = OrderID()
                try await withPayments(order: order, folder: folder, faults: "\(point)=fail:1") { payments in
                    let answer = try await payments.create(Self.card)
                    #expect(answer.status == 503)
                    #expect(try await payments.current().status == .created)
                    #expect(try await payments.charges() == (point == "payments.provider-called" ? 1 : 0))
                }
                try await withPayments(order: order, folder: folder) { payments in
                    if finishesByRepeating {
                        let answer = try await payments.create(Self.card)
                        #expect(answer.status == 200)
                        #expect(try answer.json(Payment.self).state == .captured)
                    } else {
                        try await payments.runDue("payments.lookups")
                        #expect(payments.sales.told.map(\.state) == [.captured])
                    }
                    try await payments.service.run("sandbox.webhooks")
                    try await payments.runDue("payments.lookups")
                    let payment = try await payments.current()
                    #expect(payment.state == .captured && payment.attempts.count == 1)
                    #expect(try await payments.charges() == 1)
                    #expect(try await payments.ledger().count == 2)
                }
            }
        }
    }

    @Test func `a provider that is too slow leaves the outcome unknown, which is looked up and not guessed`() async throws {
        try await withFolder { folder in
            let order = OrderID()
            try await withPayments(order: order, folder: folder, settings: ["provider.milliseconds": 200]) { payments in
                let payment = try await payments.create("\(Self.card);delay=1;webhooks=none").json(Payment.self)
                #expect(payment.state == .open && payment.status == .created)
                #expect(try await payments.charges() == 1)
                try await payments.runDue("payments.lookups")
                #expect(try await payments.current().status == .created)
                // Nor is it closed, nor tried otherwise, while nobody knows.
                #expect(try await payments.attempt(Self.card).status == 503)
                #expect(try await payments.close(.expired).status == 503)
                #expect(try await payments.current().state == .open)
                let another = try await payments.attempt(Self.card)
                #expect(another.status == 409 && another.problem == "payment-closed")
            }
            try await withPayments(order: order, folder: folder) { payments in
                try await payments.runDue("payments.lookups")
                #expect(try await payments.current().state == .captured)
                #expect(try await payments.charges() == 1)
            }
        }
    }

    // MARK: Another attempt

    @Test func `a new attempt cancels the old one at its provider first`() async throws {
        try await withPayments { payments in
            let first = try await payments.create(Self.confirmed).json(Payment.self)
            let second = try await payments.attempt(Self.card).json(Payment.self)
            #expect(second.attempts.map(\.status) == [.canceled, .captured])
            let path = try #require(first.action?.url)
            #expect(try await payments.service.call(.post, path, json: #"{"approve": true}"#).status == 409)
            #expect(try await payments.charges() == 1)
        }
    }

    @Test func `an old attempt that turns out to be captured leaves no room for a new one`() async throws {
        try await withPayments { payments in
            try await payments.create("\(Self.card);webhooks=only+none")
            let answer = try await payments.attempt(Self.card)
            #expect(answer.status == 409 && answer.problem == "already-paid")
            let payment = try await payments.current()
            #expect(payment.state == .captured && payment.attempts.count == 1)
            #expect(payments.sales.told.map(\.state) == [.captured])
            #expect(try await payments.charges() == 1)
        }
    }

    @Test func `of many attempts at once one lives at a time, and the money is taken once`() async throws {
        try await withPayments { payments in
            try await payments.create(Self.declined)
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<10 {
                    group.addTask { try await payments.attempt(Self.card, key: "key-\(number)").status }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.contains(201) && statuses.allSatisfy { [201, 409].contains($0) })
            let payment = try await payments.current()
            #expect(payment.state == .captured && payment.captured.amount == 1_000)
            #expect(try await payments.charges() == 1)
        }
    }

    @Test func `an attempt's key makes one attempt`() async throws {
        try await withPayments { payments in
            try await payments.create(Self.declined)
            let first = try await payments.attempt(Self.declined, key: "k")
            let again = try await payments.attempt(Self.declined, key: "k")
            #expect(first.status == 201 && again.status == 201 && again.body == first.body)
            #expect(try await payments.attempt(Self.card, key: "k").problem == "idempotency-key-reused")
            #expect(try await payments.current().attempts.count == 2)
            let id = try await payments.current().id
            let without = try await payments.service.call(
                .post, "/api/v1/payments/\(id)/attempts", headers: ["X-Order-Token": "secret"],
                body: PaymentChoice(provider: "sandbox", method: Self.card))
            #expect(without.status == 400 && without.problem == "idempotency-key-required")
        }
    }

    @Test func `attempts end with the order's time, and there are not endlessly many`() async throws {
        try await withPayments(settings: ["attempts.most": 2]) { payments in
            try await payments.create(Self.declined)
            try await payments.attempt(Self.declined)
            #expect(try await payments.attempt(Self.card).problem == "too-many-attempts")
        }
        try await withPayments(settings: ["attempts.most": 1]) { payments in
            try await payments.create(Self.confirmed)
            #expect(try await payments.attempt(Self.card).problem == "too-many-attempts")
            #expect(try await payments.current().attempts.map(\.status) == [.requiresAction], "the last one may succeed yet")
        }
        try await withPayments { payments in
            try await payments.create(Self.declined, expires: .now - .seconds(1))
            #expect(try await payments.attempt(Self.card).problem == "payment-closed")
            #expect(try await payments.charges() == 0)
        }
    }

    @Test func `the schema refuses a second living attempt and a second booking of a movement`() async throws {
        try await withPayments { payments in
            try await payments.create(Self.confirmed)
            await #expect(throws: StorageError.self) {
                try await payments.sql(
                    """
                    INSERT INTO payment_attempt (id, payment_id, provider, amount, currency, state, created_at)
                    SELECT 'other', payment_id, provider, amount, currency, 'created', created_at FROM payment_attempt
                    """)
            }
            try await payments.attempt(Self.card)
            await #expect(throws: StorageError.self) {
                try await payments.sql("INSERT INTO ledger_entry SELECT * FROM ledger_entry")
            }
        }
    }

    // MARK: What was never owed

    @Test func `a second capture goes back by itself, once`() async throws {
        try await withPayments { payments in
            let first = try await payments.create(Self.confirmed).json(Payment.self)
            let old = try #require(first.attempts.first?.id)
            try await payments.attempt(Self.card)
            // The provider did not keep its word: the canceled charge was captured after all.
            try await payments.sql("UPDATE sandbox_charge SET state = 'captured' WHERE attempt_id = \(old)")
            for id in ["evt_1", "evt_2"] {
                try await payments.webhook(SandboxEvent(id: id, type: "charge.succeeded", attemptId: old, amount: first.amount))
            }
            var payment = try await payments.current()
            #expect(payment.captured.amount == 2_000 && payment.state == .captured)
            #expect(payment.refunds.map(\.cause) == ["surplus:\(old)"])
            // What is on its way back cannot be asked for a second time.
            #expect(try await payments.refund("whim", 1_001).problem == "exceeds-refundable")
            for _ in 0..<3 { try await payments.runDue("payments.refunds") }
            payment = try await payments.current()
            #expect(payment.refunds.map(\.status) == [.succeeded])
            #expect(payment.refunded.amount == 1_000)
            #expect(try await payments.count("sandbox_refund") == 1)
            try await payments.expectBalancedLedger(["capture", "capture", "refund"])
            let id = try #require(payment.refunds.first?.id)
            #expect(try await payments.service.call(.post, "/internal/v1/refunds/\(id)/cancel", as: .sales).status == 409)
        }
    }

    @Test func `the capture of an old attempt ends the new one that waits for its buyer`() async throws {
        try await withPayments { payments in
            let first = try await payments.create(Self.declined).json(Payment.self)
            let old = try #require(first.attempts.first?.id)
            try await payments.attempt(Self.confirmed)
            try await payments.webhook(SandboxEvent(id: "e", type: "charge.succeeded", attemptId: old, amount: first.amount))
            #expect(try await payments.current().attempts.map(\.status) == [.captured, .requiresAction])
            try await payments.service.run("payments.lookups")
            let payment = try await payments.current()
            #expect(payment.attempts.map(\.status) == [.captured, .canceled])
            #expect(payment.state == .captured)
        }
    }

    @Test func `a capture of another amount does not count and goes back by itself`() async throws {
        try await withPayments { payments in
            let payment = try await payments.create("\(Self.card);amount=900").json(Payment.self)
            #expect(payment.state == .open && payment.captured.amount == 0)
            #expect(payment.attempts.map(\.failure) == ["amount-mismatch"])
            try await payments.service.run("sandbox.webhooks")
            for _ in 0..<2 { try await payments.runDue("payments.refunds") }
            let after = try await payments.current()
            #expect(after.refunds.map(\.amount) == [Money(900, .eur)] && after.refunds.map(\.status) == [.succeeded])
            #expect(after.refunded.amount == 0)
            try await payments.expectBalancedLedger(["capture", "refund"])
            #expect(try await payments.attempt(Self.card).json(Payment.self).state == .captured)
        }
    }

    @Test func `a capture in another currency does not count`() async throws {
        try await withPayments { payments in
            let payment = try await payments.create("\(Self.card);webhooks=only+none").json(Payment.self)
            let dollars = Money(1_000, try #require(Currency("USD")))
            let attempt = payment.attempts.first?.id
            try await payments.webhook(SandboxEvent(id: "e", type: "charge.succeeded", attemptId: attempt, amount: dollars))
            let after = try await payments.current()
            #expect(after.state == .open && after.captured.amount == 0)
            #expect(after.attempts.first?.failure == "amount-mismatch")
            #expect(after.refunds.map(\.amount) == [dollars])
        }
    }

    @Test func `a refund that goes back by itself is tried until it succeeds`() async throws {
        try await withPayments { payments in
            try await payments.create("\(Self.card);amount=900;refunds=once")
            try await payments.runDue("payments.refunds")
            #expect(try await payments.current().refunds.map(\.status) == [.failed])
            try await payments.runDue("payments.refunds")
            #expect(try await payments.current().refunds.map(\.status) == [.succeeded])
            #expect(try await payments.count("sandbox_refund") == 1)
            // The webhook of the first failure comes late.
            try await payments.service.run("sandbox.webhooks")
            #expect(try await payments.current().refunds.map(\.status) == [.succeeded])
        }
    }

    // MARK: Closing and settling

    @Test func `closing cancels the living attempt, and nothing can be paid any more`() async throws {
        try await withPayments { payments in
            let first = try await payments.create(Self.confirmed).json(Payment.self)
            let closed = try await payments.close(.expired)
            #expect(closed.status == 200)
            #expect(try closed.json(Payment.self).state == .closed)
            #expect(try closed.json(Payment.self).attempts.map(\.status) == [.canceled])
            #expect(try await payments.close(.expired).status == 200)
            let path = try #require(first.action?.url)
            #expect(try await payments.service.call(.post, path, json: #"{"approve": true}"#).status == 409)
            #expect(try await payments.attempt(Self.card).problem == "payment-closed")
            #expect(try await payments.charges() == 0)
            #expect(try await payments.settle(.refunded).status == 204)
            #expect(try await payments.service.sent(PaymentChanged.self).last?.payment.state == .closed)
        }
    }

    @Test(arguments: [CloseReason.expired, .canceled])
    func `closing that finds a capture says so`(_ reason: CloseReason) async throws {
        try await withPayments { payments in
            try await payments.create("\(Self.card);webhooks=only")
            let closed = try await payments.close(reason)
            #expect(closed.status == 200)
            let payment = try closed.json(Payment.self)
            #expect(payment.state == .captured && payment.captured == payment.amount)
            try await payments.service.run("sandbox.webhooks")
            #expect(try await payments.current().state == .captured)
            #expect(try await payments.charges() == 1)
        }
    }

    @Test func `an attempt that is closed before it reached its provider is never charged`() async throws {
        try await withFolder { folder in
            let order = OrderID()
            try await withPayments(order: order, folder: folder, faults: "payments.attempt-committed=fail:1") { payments in
                let answer = try await payments.create(Self.card)
                #expect(answer.status == 503)
            }
            try await withPayments(order: order, folder: folder) { payments in
                #expect(try await payments.close(.expired).json(Payment.self).state == .closed)
                // Its beginning comes after all, from a process that was slow.
                let attempt = try #require(try await payments.current().attempts.first?.id)
                let sandbox = SandboxProvider(
                    database: payments.service.database, confirmationURL: "", signature: try payments.signature)
                let outcome = try await sandbox.begin(
                    ProviderAttempt(
                        id: attempt, orderID: order, amount: Money(1_000, .eur), method: Self.card, returnURL: nil, description: "",
                        buyerEmail: ""))
                #expect(outcome == .canceled)
                #expect(try await payments.charges() == 0)
            }
        }
    }

    @Test func `a capture is announced again until Sales has settled it`() async throws {
        try await withPayments { payments in
            try await payments.create(Self.card)
            payments.sales.isDown.withLock { $0 = true }
            try await payments.runDue("payments.announcements")
            #expect(payments.sales.told.isEmpty)
            payments.sales.isDown.withLock { $0 = false }
            for count in 1...3 {
                try await payments.runDue("payments.announcements")
                #expect(payments.sales.told.count == count)
            }
            #expect(try await payments.settle(.fulfilled).status == 204)
            try await payments.runDue("payments.announcements")
            #expect(payments.sales.told.count == 3)
            #expect(try await payments.current().state == .closed)
            #expect(try await payments.settle(.fulfilled).status == 204)
            #expect(try await payments.close(.canceled).json(Payment.self).captured.amount == 1_000)
        }
    }

    @Test func `a capture whose order is fulfilled is settled by a question, and nobody is told of it`() async throws {
        try await withPayments { payments in
            let captured = try await payments.create(Self.card).json(Payment.self)
            payments.sales.fulfil(payments.order)
            try await payments.runDue("payments.announcements")
            #expect(payments.sales.told.isEmpty)
            #expect(payments.sales.asked == [Capture(order: payments.order, version: captured.version)])
            let settled = try await payments.current()
            #expect(settled.state == .closed && settled.version > captured.version)
            #expect(try await payments.count("payment WHERE settled = 'fulfilled' AND announce_at IS NULL") == 1)
            try await payments.runDue("payments.announcements")
            #expect(payments.sales.asked.count == 1)
            #expect(try await payments.settle(.fulfilled).status == 204)
        }
    }

    @Test func `an open payment cannot be settled`() async throws {
        try await withPayments { payments in
            try await payments.create(Self.confirmed)
            for outcome in [SettlementOutcome.fulfilled, .refunded] {
                let answer = try await payments.settle(outcome)
                #expect(answer.status == 409 && answer.problem == "illegal-transition")
            }
        }
    }

    @Test(arguments: [true, false])
    func `money that comes after a canceled order is captured, told, and goes back once`(_ salesRefunds: Bool) async throws {
        try await withPayments { payments in
            let first = try await payments.create(Self.confirmed).json(Payment.self)
            let attempt = try #require(first.attempts.first?.id)
            #expect(try await payments.close(.canceled).json(Payment.self).state == .closed)
            try await payments.sql("UPDATE sandbox_charge SET state = 'captured'")
            try await payments.webhook(SandboxEvent(id: "e", type: "charge.succeeded", attemptId: attempt, amount: first.amount))
            #expect(try await payments.current().state == .captured)
            #expect(payments.sales.told.map(\.state) == [.captured])
            if salesRefunds {
                let refund = try await payments.refund("canceled", 1_000).json(Refund.self)
                #expect(try await payments.submit(refund.id).json(Refund.self).status == .succeeded)
            }
            for _ in 0..<2 { #expect(try await payments.settle(.refunded).status == 204) }
            for _ in 0..<2 { try await payments.runDue("payments.refunds") }
            let payment = try await payments.current()
            #expect(payment.state == .closed && payment.refunded.amount == 1_000)
            #expect(payment.refunds.map(\.cause) == [salesRefunds ? "canceled" : "surplus:\(attempt)"])
            #expect(try await payments.count("sandbox_refund") == 1)
        }
    }

    @Test func `money that comes after an expired order is kept where Sales fulfils it`() async throws {
        try await withPayments { payments in
            let first = try await payments.create(Self.confirmed).json(Payment.self)
            #expect(try await payments.close(.expired).json(Payment.self).state == .closed)
            try await payments.webhook(
                SandboxEvent(id: "e", type: "charge.succeeded", attemptId: first.attempts.first?.id, amount: first.amount))
            #expect(try await payments.settle(.fulfilled).status == 204)
            let payment = try await payments.current()
            #expect(payment.state == .closed && payment.captured.amount == 1_000 && payment.refunds.isEmpty)
        }
    }

    // MARK: Refunds

    @Test func `a refund goes from requested to succeeded, and the ledger sums to zero`() async throws {
        try await withPayments { payments in
            try await payments.create(Self.card)
            let requested = try await payments.refund("whim", 400)
            #expect(requested.status == 201)
            let refund = try requested.json(Refund.self)
            #expect(refund.status == .requested)
            let again = try await payments.refund("whim", 400)
            #expect(again.status == 200 && again.body == requested.body)
            #expect(try await payments.submit(refund.id).json(Refund.self).status == .succeeded)
            #expect(try await payments.submit(refund.id).json(Refund.self).status == .succeeded)
            try await payments.service.run("sandbox.webhooks")
            let payment = try await payments.current()
            #expect(payment.refunded.amount == 400 && payment.refunds.map(\.status) == [.succeeded])
            #expect(try await payments.count("sandbox_refund") == 1)
            try await payments.expectBalancedLedger(["capture", "refund"])
            #expect(try await payments.service.sent(PaymentChanged.self).last?.payment.refunded.amount == 400)
            let canceled = try await payments.service.call(.post, "/internal/v1/refunds/\(refund.id)/cancel", as: .sales)
            #expect(canceled.status == 409 && canceled.problem == "illegal-transition")
        }
    }

    @Test func `of two refunds at once that together exceed the payment one is refused`() async throws {
        try await withPayments { payments in
            try await payments.create(Self.card)
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for cause in ["one", "two"] { group.addTask { try await payments.refund(cause, 600).status } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.sorted() == [201, 409])
            let refused = try await payments.refund("three", 401)
            #expect(refused.status == 409 && refused.problem == "exceeds-refundable")
            #expect(refused.text.contains(#""refundable":"400""#))
            #expect(try await payments.refund("four", 400).status == 201)
            #expect(try await payments.refund("five", 1).status == 409)
        }
    }

    @Test func `what was not captured cannot be refunded`() async throws {
        try await withPayments { payments in
            try await payments.create(Self.declined)
            #expect(try await payments.refund("whim", 1).problem == "exceeds-refundable")
        }
    }

    @Test func `a failed refund may be tried again, but not if its money has gone back otherwise`() async throws {
        try await withPayments { payments in
            try await payments.create("\(Self.card);refunds=once")
            let first = try await payments.refund("one", 600).json(Refund.self)
            #expect(try await payments.submit(first.id).json(Refund.self).status == .failed)
            let second = try await payments.refund("two", 600).json(Refund.self)
            #expect(try await payments.submit(first.id).problem == "exceeds-refundable")
            let canceled = try await payments.service.call(.post, "/internal/v1/refunds/\(second.id)/cancel", as: .sales)
            #expect(try canceled.json(Refund.self).status == .canceled)
            #expect(try await payments.submit(second.id).problem == "illegal-transition")
            #expect(try await payments.submit(first.id).json(Refund.self).status == .succeeded)
            try await payments.expectBalancedLedger(["capture", "refund"])
        }
    }

    @Test(arguments: ["payments.refund-submitted", "payments.refund-answered"])
    func `a crash around the call for a refund is finished by the next process, once`(_ point: String) async throws {
        try await withFolder { folder in
            let order = OrderID()
            try await withPayments(order: order, folder: folder, faults: "\(point)=fail:1") { payments in
                try await payments.create(Self.card)
                let refund = try await payments.refund("whim", 400).json(Refund.self)
                #expect(try await payments.submit(refund.id).status == 503)
                #expect(try await payments.current().refunds.map(\.status) == [.submitted])
                #expect(try await payments.refund("other", 601).problem == "exceeds-refundable")
            }
            try await withPayments(order: order, folder: folder) { payments in
                for _ in 0..<2 { try await payments.runDue("payments.refunds") }
                let payment = try await payments.current()
                #expect(payment.refunds.map(\.status) == [.succeeded] && payment.refunded.amount == 400)
                #expect(try await payments.count("sandbox_refund") == 1)
                try await payments.expectBalancedLedger(["capture", "refund"])
            }
        }
    }

    // MARK: Disputes

    @Test func `money in dispute cannot be refunded, and comes back when the dispute is won`() async throws {
        try await withPayments { payments in
            let payment = try await payments.create(Self.card).json(Payment.self)
            let attempt = payment.attempts.first?.id
            func dispute(_ id: String, _ state: String) -> SandboxEvent {
                SandboxEvent(
                    id: "\(id)-\(state)", type: "dispute.\(state)", attemptId: attempt, disputeId: id, amount: Money(700, .eur))
            }
            try await payments.webhook(dispute("a", "opened"))
            #expect(try await payments.current().disputes?.map(\.state) == [.opened])
            #expect(try await payments.service.sent(PaymentChanged.self).last?.payment.disputes?.count == 1)
            #expect(try await payments.refund("one", 301).problem == "exceeds-refundable")
            try await payments.webhook(dispute("a", "won"))
            try await payments.webhook(dispute("a", "opened"))
            #expect(try await payments.current().disputes?.map(\.state) == [.won])
            #expect(try await payments.refund("one", 301).status == 201)
            // The end is heard of before the beginning.
            try await payments.webhook(dispute("b", "lost"))
            try await payments.webhook(dispute("b", "opened"))
            #expect(try await payments.current().disputes?.map(\.state) == [.won, .lost])
            #expect(try await payments.refund("two", 1).problem == "exceeds-refundable")
            try await payments.expectBalancedLedger(["capture", "dispute"])
        }
    }

    @Test func `money that is disputed after its refund was asked for is not given back twice`() async throws {
        try await withPayments { payments in
            let payment = try await payments.create(Self.card).json(Payment.self)
            let refund = try await payments.refund("one", 600).json(Refund.self)
            try await payments.webhook(
                SandboxEvent(
                    id: "a-opened", type: "dispute.opened", attemptId: payment.attempts.first?.id, disputeId: "a",
                    amount: Money(1_000, .eur)))
            let submit = "/internal/v1/refunds/\(refund.id)/submit"
            let submitted = try await payments.service.call(.post, submit, as: .service(.salesManager))
            #expect(submitted.status == 200, "\(submitted.text)")
            #expect(try submitted.json(Refund.self).status == .failed)
            #expect(try await payments.current().refunds.map(\.status) == [.failed])
            #expect(try await payments.service.sent(PaymentChanged.self).last?.payment.refunds.map(\.status) == [.failed])
            try await payments.expectBalancedLedger(["capture"])
        }
    }

    // MARK: By hand

    @Test func `a bank transfer waits for a receipt of the whole amount`() async throws {
        try await withPayments { payments in
            let created = try await payments.create("bank-transfer", provider: "manual").json(Payment.self)
            #expect(created.status == .requiresAction && created.action?.type == .instructions)
            #expect(created.action?.text?.contains("\(payments.order)") == true)
            try await payments.runDue("payments.lookups")
            #expect(try await payments.current().status == .requiresAction)
            let short = try await payments.receipt(999)
            #expect(short.status == 422 && short.problem == "invalid")
            let paid = try await payments.receipt(1_000, key: "r")
            #expect(paid.status == 201)
            #expect(try paid.json(Payment.self).state == .captured)
            #expect(try await payments.receipt(1_000, key: "r").body == paid.body)
            #expect(try await payments.receipt(1_000, key: "r2").problem == "already-paid")
            #expect(payments.sales.told.count == 1)
            let refund = try await payments.refund("whim", 1_000).json(Refund.self)
            #expect(try await payments.submit(refund.id).json(Refund.self).status == .succeeded)
            try await payments.expectBalancedLedger(["capture", "refund"])
            #expect(Set(try await payments.ledger().map(\.account)) == ["buyer", "organizer"])
        }
    }

    @Test func `who pays at the door has the tickets before the money is there`() async throws {
        try await withPayments { payments in
            let created = try await payments.create("door", provider: "manual").json(Payment.self)
            #expect(created.isPayLater && created.status == .authorized && created.state == .open)
            for outcome in [SettlementOutcome.fulfilled, .refunded] { #expect(try await payments.settle(outcome).status == 204) }
            #expect(try await payments.current().state == .open)
            #expect(try await payments.receipt(1_000).json(Payment.self).state == .captured)
            #expect(try await payments.settle(.fulfilled).status == 204)
            #expect(try await payments.current().state == .closed)
        }
    }

    @Test func `a receipt is for what is paid by hand`() async throws {
        try await withPayments { payments in
            try await payments.create(Self.confirmed)
            #expect(try await payments.receipt(1_000).problem == "no-manual-attempt")
        }
    }

    // MARK: Who may

    @Test func `every route has an endpoint`() async throws {
        try await withPayments { payments in
            let served = payments.service.service.endpoints.map { "\($0.route.method) \($0.route.path)" }
            #expect(served.sorted() == PaymentProcessingRoutes.all.map { "\($0.method) \($0.path)" }.sorted())
        }
    }

    @Test func `services' routes are for services with the scope`() async throws {
        try await withPayments { payments in
            let paths = ["\(payments.order)", "\(RefundID())"]
            for route in PaymentProcessingRoutes.all where route.path.hasPrefix("/internal") {
                let path = route.path(route.path.contains("refunds") ? [paths[1]] : [paths[0]])
                let service = payments.service
                for (caller, status) in [
                    (.nobody, 401), (payments.buyer, 403), (.user(UserID(), admin: true), 403), (.service(.couponManager), 403),
                ] as [(TestCaller, Int)] {
                    let answer = try await service.call(route.method, path, as: caller, json: "{}")
                    #expect(answer.status == status, "\(path)")
                }
            }
        }
    }

    @Test func `a payment is seen by its buyer and the organizer's staff`() async throws {
        try await withPayments { payments in
            let id = try await payments.create(Self.card).json(Payment.self).id
            let path = "/api/v1/payments/\(id)"
            let service = payments.service
            for caller in [payments.buyer, payments.manager, payments.analyst, payments.door, .user(UserID(), email: "a@b.c", admin: true)]
            {
                #expect(try await service.call(.get, path, as: caller).status == 200)
            }
            #expect(try await service.call(.get, path, headers: ["X-Order-Token": "secret"]).status == 200)
            #expect(try await service.call(.get, path, as: .user(UserID(), verified: true)).status == 200)
            let unknown = try await service.call(.get, "/api/v1/payments/\(PaymentID())", as: payments.stranger)
            for (caller, token) in [
                (payments.stranger, nil), (payments.otherManager, nil), (.nobody, nil), (.nobody, "wrong"), (payments.stranger, "wrong"),
                (.user(UserID(), verified: false), nil), (.nobody, String(repeating: "x", count: 10_000)),
            ] as [(TestCaller, String?)] {
                let answer = try await service.call(.get, path, as: caller, headers: token.map { ["X-Order-Token": $0] } ?? [:])
                #expect(answer.status == 404, "\(caller)")
                #expect(answer.problem == unknown.problem)
            }
            #expect(try await service.call(.get, "/api/v1/payments/nonsense").status == 404)
            #expect(try await service.call(.get, path, headers: ["Authorization": "Bearer x"]).status == 401)
            payments.sales.isDown.withLock { $0 = true }
            #expect(try await service.call(.get, path, as: payments.buyer).status == 503)
        }
    }

    @Test func `only the buyer tries again`() async throws {
        try await withPayments { payments in
            let id = try await payments.create(Self.declined).json(Payment.self).id
            let choice = PaymentChoice(provider: "sandbox", method: Self.card)
            func attempt(as caller: TestCaller, token: String? = nil) async throws -> Int {
                var headers = ["Idempotency-Key": UUID().uuidString]
                headers["X-Order-Token"] = token
                return try await payments.service.call(
                    .post, "/api/v1/payments/\(id)/attempts", as: caller, headers: headers, body: choice
                ).status
            }
            for caller in [payments.stranger, payments.manager, payments.otherManager, .nobody] {
                #expect(try await attempt(as: caller) == 404)
            }
            #expect(try await attempt(as: .nobody, token: "wrong") == 404)
            #expect(try await payments.charges() == 0)
            #expect(try await attempt(as: payments.buyer) == 201)
        }
    }

    @Test func `only managers record receipts`() async throws {
        try await withPayments { payments in
            try await payments.create("bank-transfer", provider: "manual")
            for (caller, status) in [
                (payments.buyer, 404), (payments.stranger, 404), (payments.otherManager, 404), (payments.door, 403),
                (payments.analyst, 403), (.nobody, 401), (.sales, 401),
            ] as [(TestCaller, Int)] {
                #expect(try await payments.receipt(1_000, as: caller).status == status)
            }
            #expect(try await payments.current().state == .open)
        }
    }

    @Test func `the ledger is for the buyer and analysts`() async throws {
        try await withPayments { payments in
            try await payments.create(Self.card)
            let path = "/api/v1/orders/\(payments.order)/ledger"
            let service = payments.service
            for caller in [payments.buyer, payments.manager, payments.analyst] {
                let answer = try await service.call(.get, path, as: caller)
                #expect(answer.status == 200)
                #expect(try answer.json(LedgerAnswer.self).items.count == 2)
            }
            #expect(try await service.call(.get, path, headers: ["X-Order-Token": "secret"]).status == 200)
            #expect(try await service.call(.get, path, as: payments.door).status == 403)
            for caller in [payments.stranger, payments.otherManager, .nobody] {
                #expect(try await service.call(.get, path, as: caller).status == 404)
            }
            #expect(try await service.call(.get, "/api/v1/orders/\(OrderID())/ledger", as: payments.manager).status == 404)
        }
    }

    // MARK: Bad input

    @Test func `a provider that is not offered is refused, naming those that are`() async throws {
        try await withPayments { payments in
            let answer = try await payments.create(Self.card, provider: "stripe")
            #expect(answer.status == 422 && answer.text.contains("manual, sandbox") && answer.text.contains("choice.provider"))
            #expect(try await payments.create("cash", provider: "manual").status == 422)
            #expect(try await payments.count("payment") == 0)
        }
        try await withPayments(settings: ["sandbox.enabled": false]) { payments in
            let answer = try await payments.create(Self.card)
            #expect(answer.status == 422 && answer.text.contains("offered: manual"))
            #expect(try await payments.service.call(.post, "/api/v1/webhooks/sandbox", json: "{}").status == 404)
            let confirmation = try await payments.service.call(
                .post, "/api/v1/sandbox/charges/ch_1/confirm", json: #"{"approve": true}"#)
            #expect(confirmation.status == 404)
        }
        await #expect(throws: PaymentProcessingConfigurationError.self) {
            try await withPayments(settings: ["providers": .init(.stringArray(["paypal"]), isSecret: false)]) { _ in }
        }
    }

    @Test func `what is no test number, or asks the sandbox for something unknown, is refused`() {
        for method in [
            "", "4242", "4111111111111111", "\(Self.card);", "\(Self.card);delay=-1", "\(Self.card);delay=31", "\(Self.card);x=1",
            "\(Self.card);delay=99999999999999999999", "\(Self.card);webhooks=", "\(Self.card);webhooks=twice", "😀", "٤٢٤٢",
            "\(Self.card);amount=0",
        ] {
            #expect(SandboxCard(method) == nil, "\(method)")
        }
        #expect(SandboxCard(nil) == nil)
        #expect(SandboxCard("4242 4242 4242 4242;delay=2;webhooks=duplicate") != nil)
    }

    @Test func `impossible payments and refunds are refused with every mistake named`() async throws {
        try await withPayments { payments in
            let service = payments.service
            for amount in [Int64.min, -1, 0, 1_000_000_000_001, .max] {
                #expect(try await payments.create(Self.card, amount: amount).status == 422)
                #expect(try await payments.refund("x", amount).status == 422)
            }
            #expect(try await payments.create(Self.card, expires: Instant(seconds: 0)).status == 422)
            #expect(try await payments.create(String(repeating: "4", count: 10_000)).status == 422)
            #expect(try await payments.count("payment") == 0)
            try await payments.create(Self.declined)
            let id = try await payments.current().id
            for (body, status) in [
                ("", 400), ("{", 400), ("[]", 422), ("{}", 422), (#"{"provider":7}"#, 422), (#"{"provider":null}"#, 422),
                (#"{"provider":"😀 مرحبا"}"#, 422), (#"{"provider":"a\u0000"}"#, 400), (#"{"provider":""}"#, 422),
                (#"{"provider":"sandbox","method":[]}"#, 422), (#"{"provider":"\#(String(repeating: "x", count: 10_000))"}"#, 422),
                (#"{"provider":"sandbox","method":"4242424242424242","returnURL":"javascript:alert(1)"}"#, 422),
                (#"{"provider":"sandbox","method":"4242424242424242","returnURL":"https://a b"}"#, 422),
            ] {
                let answer = try await service.call(
                    .post, "/api/v1/payments/\(id)/attempts", headers: ["X-Order-Token": "secret", "Idempotency-Key": UUID().uuidString],
                    json: body)
                #expect(answer.status == status, "\(body.prefix(60)) \(answer.text)")
            }
            for (body, status) in [
                (#"{"amount":{"amount":1e30,"currency":"EUR"}}"#, 400), (#"{"amount":{"amount":1000,"currency":"eur"}}"#, 422),
                (#"{"amount":{"amount":"1000","currency":"EUR"}}"#, 422), (#"{"amount":{"amount":10.5,"currency":"EUR"}}"#, 400),
                (#"{"amount":{"amount":1000,"currency":"USD"}}"#, 422),
                (#"{"amount":{"amount":1000,"currency":"EUR"},"reference":"\#(String(repeating: "é", count: 201))"}"#, 422),
            ] {
                let answer = try await service.call(
                    .post, "/api/v1/payments/\(id)/receipts", as: payments.manager, headers: ["Idempotency-Key": UUID().uuidString],
                    json: body)
                // The decoder cannot name the field of a number that does not fit.
                #expect(answer.status == status || (status == 400 && answer.status == 422), "\(body.prefix(60)) \(answer.text)")
            }
            #expect(try await payments.refund("surplus:x", 1).status == 422)
            #expect(try await payments.refund("", 1).status == 422)
            #expect(try await payments.refund("x", 1, currency: "USD").status == 422)
            #expect(try await payments.refund("x", 1, order: OrderID()).status == 404)
            #expect(try await payments.submit(RefundID()).status == 404)
            #expect(try await service.call(.post, "/internal/v1/refunds/\(RefundID())/cancel", as: .sales).status == 404)
            let unknown = "/internal/v1/orders/\(OrderID())/payment"
            #expect(try await service.call(.get, unknown, as: .sales).status == 404)
            #expect(try await service.call(.post, "\(unknown)/close", as: .sales, json: #"{"reason":"expired"}"#).status == 404)
            #expect(try await service.call(.post, "\(unknown)/close", as: .sales, json: #"{"reason":"bored"}"#).status == 422)
            #expect(try await service.call(.post, "\(unknown)/settle", as: .sales, json: #"{"outcome":"refunded"}"#).status == 404)
            #expect(try await service.call(.get, "/internal/v1/orders/pay_1/payment", as: .sales).status == 404)
        }
    }

    // MARK: Cost

    @Test func `a job's query goes by the partial index of its appointments`() async throws {
        try await withPayments { payments in
            for (query, index) in [
                ("SELECT id FROM payment_attempt WHERE check_at IS NOT NULL AND check_at <= 5 ORDER BY check_at", "payment_attempt_check"),
                ("SELECT id FROM refund WHERE check_at IS NOT NULL AND check_at <= 5 ORDER BY check_at", "refund_check"),
                ("SELECT id FROM payment WHERE announce_at IS NOT NULL AND announce_at <= 5 ORDER BY announce_at", "payment_unsettled"),
                ("SELECT 1 FROM provider_event WHERE apply_at IS NOT NULL AND apply_at <= 5 ORDER BY apply_at", "provider_event_waiting"),
                ("SELECT id FROM sandbox_webhook WHERE deliver_at <= 5 ORDER BY deliver_at", "sandbox_webhook_due"),
            ] {
                let plan = try await payments.service.plan(SQL(stringLiteral: query))
                #expect(plan.text.contains(index) && !plan.sorts, "\(plan.text)")
            }
        }
    }
}

// MARK: The world around it

/// PaymentProcessing with a Sales that remembers what it was told.
private struct PaymentWorld: Sendable {
    let service: ServiceHarness<PaymentProcessingService>
    let sales: SalesRecorder
    let order: OrderID
    let organizer: OrganizerID
    let buyer = TestCaller.user(UserID(), email: "buyer@example.org")
    let manager: TestCaller
    let analyst: TestCaller
    let door: TestCaller
    let otherManager: TestCaller
    let stranger = TestCaller.user(UserID(), email: "stranger@example.org")

    @discardableResult
    func create(
        _ method: String, provider: String = "sandbox", amount: Int64 = 1_000, expires: Instant = .now + .minutes(30)
    ) async throws -> ServiceHarness<PaymentProcessingService>.Answer {
        try await service.call(
            .post, "/internal/v1/payments", as: .sales,
            body: NewPayment(
                orderId: order, organizerId: organizer, amount: Money(amount, .eur), description: "Two tickets 🎟️",
                buyerEmail: "buyer@example.org", choice: PaymentChoice(provider: provider, method: method), expiresAt: expires))
    }

    func current() async throws -> Payment {
        let answer = try await service.call(.get, "/internal/v1/orders/\(order)/payment", as: .sales)
        return try answer.json(Payment.self)
    }

    @discardableResult
    func attempt(_ method: String, key: String = UUID().uuidString) async throws -> ServiceHarness<PaymentProcessingService>.Answer {
        try await service.call(
            .post, "/api/v1/payments/\(try await current().id)/attempts", headers: ["X-Order-Token": "secret", "Idempotency-Key": key],
            body: PaymentChoice(provider: "sandbox", method: method))
    }

    func receipt(
        _ amount: Int64, as caller: TestCaller? = nil, key: String = UUID().uuidString
    ) async throws -> ServiceHarness<PaymentProcessingService>.Answer {
        try await service.call(
            .post, "/api/v1/payments/\(try await current().id)/receipts", as: caller ?? manager, headers: ["Idempotency-Key": key],
            body: PaymentReceipt(amount: Money(amount, .eur), reference: "statement 12"))
    }

    func close(_ reason: CloseReason) async throws -> ServiceHarness<PaymentProcessingService>.Answer {
        try await service.call(
            .post, "/internal/v1/orders/\(order)/payment/close", as: .sales, body: ClosePayment(reason: reason))
    }

    func settle(_ outcome: SettlementOutcome) async throws -> ServiceHarness<PaymentProcessingService>.Answer {
        try await service.call(
            .post, "/internal/v1/orders/\(order)/payment/settle", as: .sales, body: SettlePayment(outcome: outcome))
    }

    func refund(
        _ cause: String, _ amount: Int64, currency: String = "EUR", order: OrderID? = nil
    ) async throws -> ServiceHarness<PaymentProcessingService>.Answer {
        try await service.call(
            .post, "/internal/v1/refunds", as: .sales,
            body: NewRefund(
                orderId: order ?? self.order, causeId: cause, amount: Money(amount, try #require(Currency(currency))),
                reason: "changed their mind"))
    }

    func submit(_ id: RefundID) async throws -> ServiceHarness<PaymentProcessingService>.Answer {
        try await service.call(.post, "/internal/v1/refunds/\(id)/submit", as: .sales)
    }

    var signature: SandboxSignature {
        get throws {
            SandboxSignature(key: try #require(try Secrets(folder: "\(service.folder)/secrets").find("sandbox-webhook")))
        }
    }

    @discardableResult
    func webhook(_ event: SandboxEvent) async throws -> ServiceHarness<PaymentProcessingService>.Answer {
        let body = try JSON.text(of: event)
        return try await service.call(
            .post, "/api/v1/webhooks/sandbox", headers: ["Sandbox-Signature": try signature.sign(Array(body.utf8), at: .now)],
            json: body)
    }

    /// Runs a job as if the time of all its appointments had come.
    func runDue(_ job: String) async throws {
        try await sql("UPDATE payment_attempt SET check_at = 0 WHERE check_at IS NOT NULL")
        try await sql("UPDATE refund SET check_at = 0 WHERE check_at IS NOT NULL")
        try await sql("UPDATE provider_event SET apply_at = 0 WHERE apply_at IS NOT NULL")
        try await sql("UPDATE payment SET announce_at = 0 WHERE announce_at IS NOT NULL")
        try await service.run(job)
    }

    func sql(_ sql: SQL) async throws {
        try await service.database.write { tx in _ = try tx.execute(sql) }
    }

    func count(_ what: String) async throws -> Int {
        try await service.database.read { tx in
            try tx.row("SELECT COUNT(*) AS number FROM \(SQL(stringLiteral: what))")?["number"] ?? 0
        }
    }

    /// How often the provider took money.
    func charges() async throws -> Int {
        try await count("sandbox_charge WHERE state = 'captured'")
    }

    func ledger() async throws -> [LedgerEntry] {
        try await service.call(.get, "/api/v1/orders/\(order)/ledger", as: buyer).json(LedgerAnswer.self).items
    }

    /// - Parameter kinds: of the movements, sorted.
    func expectBalancedLedger(_ kinds: [String]) async throws {
        let movements = Dictionary(grouping: try await ledger(), by: \.movementId)
        #expect(movements.values.compactMap(\.first?.kind).sorted() == kinds)
        for entries in movements.values {
            #expect(entries.count == 2 && Set(entries.map(\.amount.currency)).count == 1)
            #expect(entries.reduce(0) { $0 + $1.amount.amount } == 0)
        }
    }
}

extension TestCaller {
    fileprivate static let sales = TestCaller.service(.salesManager)
}

/// Plays Sales.
private final class SalesRecorder: Sendable {
    let isDown = Mutex(false)
    private let payments = Mutex<[Payment]>([])

    private let fulfilled = Mutex<Set<OrderID>>([])
    private let questions = Mutex<[Capture]>([])

    var told: [Payment] { payments.withLock { $0 } }
    var asked: [Capture] { questions.withLock { $0 } }

    func fulfil(_ order: OrderID) { _ = fulfilled.withLock { $0.insert(order) } }

    func enter(_ transport: InProcessTransport, order: OrderID, organizer: OrganizerID, buyer: UserID?) {
        transport.enter(.salesManager) { [self] request in
            func answer(_ status: Int, _ body: some Encodable) throws -> PeerResponse {
                PeerResponse(status: status, headers: [:], body: try JSON.bytes(of: body))
            }
            if isDown.withLock({ $0 }) { return try answer(503, Problem.unavailable("Sales is down.")) }
            if request.target == SalesManagerRoutes.fulfilledCaptures.path {
                let captures = try JSON.value(Captures.self, from: request.body).items
                questions.withLock { $0 += captures }
                let known = fulfilled.withLock { $0 }
                return try answer(200, FulfilledCaptures(orders: captures.map(\.order).filter(known.contains)))
            }
            let parts = request.target.split(separator: "/")
            guard parts.count == 5, parts[3] == "\(order)" else { return try answer(404, Problem.notFound("order")) }
            if parts[4] == "payment" {
                let payment = try JSON.value(Payment.self, from: request.body)
                payments.withLock { $0.append(payment) }
                return PeerResponse(status: 204, headers: [:], body: [])
            }
            let question = try JSON.value(OrderAccessQuestion.self, from: request.body)
            let isBuyer =
                question.orderToken == "secret" || (buyer != nil && question.userId == buyer)
                || question.verifiedEmail == "buyer@example.org"
            return try answer(200, OrderAccess(isBuyer: isBuyer, organizerId: organizer, eventId: EventID()))
        }
    }
}

private func withPayments<Result>(
    order: OrderID = OrderID(), folder: String? = nil, settings: [AbsoluteConfigKey: ConfigValue] = [:], faults: String = "",
    _ body: (PaymentWorld) async throws -> Result
) async throws -> Result {
    let sales = SalesRecorder()
    let organizer = OrganizerID()
    let (manager, analyst, door, other) = (UserID(), UserID(), UserID(), UserID())
    let all = (["sandbox.enabled": true] as [AbsoluteConfigKey: ConfigValue]).merging(settings) { $1 }
    return try await withService(
        PaymentProcessingService.self, settings: all, folder: folder, faults: faults,
        peers: { transport in
            sales.enter(transport, order: order, organizer: organizer, buyer: nil)
            transport.enterMemberships([
                (manager, organizer, .manager), (analyst, organizer, .analyst), (door, organizer, .door), (other, OrganizerID(), .owner),
            ])
        }
    ) { service in
        try await body(
            PaymentWorld(
                service: service, sales: sales, order: order, organizer: organizer, manager: .staff(manager), analyst: .staff(analyst),
                door: .staff(door), otherManager: .staff(other)))
    }
}

extension TestCaller {
    fileprivate static func staff(_ id: UserID) -> TestCaller { .user(id, email: "staff@example.org") }
}

/// A folder in which a service is started twice.
private func withFolder(_ body: (String) async throws -> Void) async throws {
    let folder = NSTemporaryDirectory() + "ticketflow-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try await body(folder)
}

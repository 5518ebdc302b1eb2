import Contracts
import Discovery
import Messaging
import ServiceKit
import Storage
import Values

/// Gives money back, each time for a cause, once for each: first it is written down here, then at Payments, then the tickets
/// are blocked, and only then the provider is asked. Success voids the tickets, failure lifts the block.
struct Refunds: Sendable {
    let database: Database
    let outbox: Outbox
    let secret: LinkSecret
    let tickets: TicketManagerClient
    let payments: PaymentProcessingClient
    let faults: Faults

    /// A refund that staff ask for. A repeated request with the same cause is the same refund.
    func request(_ request: RefundRequest, of id: OrderID, cause: String) async throws -> RefundRecord {
        try await database.write { tx in
            guard let order = try OrderStore.lock(id, in: tx) else { throw Problem.notFound("order") }
            guard order.status == .paid || order.status == .canceled else {
                throw IllegalTransition(of: "order", from: order.status.rawValue, to: "refunded")
            }
            if try RefundStore.find(id, cause, in: tx) != nil { return }
            let refund = try RefundPlan(order: order, refunded: try RefundStore.refunded(of: id, in: tx))
                .refund(request, cause: cause, at: try tx.now)
            _ = try RefundStore.insert(refund, in: tx)
        }
        try await faults.point("sales.refund-written")
        return try await advance(id, cause)
    }

    /// All that was captured and is not given back yet, and voids all tickets. Where an earlier try has failed this is another one,
    /// under a cause of its own, after a pause that grows; at once where somebody asks and the last one was withdrawn.
    /// - Returns: false where the money did not go back and is not on its way. The order must not be treated as if it were.
    func refundAll(
        _ id: OrderID, _ payment: Payment?, cause: String, withoutFees: Bool = false, insist: Bool = true, isAsked: Bool = false
    ) async throws -> Bool {
        let next = try await database.write { tx -> RefundTries.Next in
            guard let order = try OrderStore.lock(id, in: tx) else { throw Problem.notFound("order") }
            let now = try tx.now
            let refunds = try RefundStore.refunds(of: id, in: tx)
            let tries = RefundTries(of: cause, among: refunds)
            var next = tries.next(at: now, isAsked: isAsked)
            // What another refund takes of the money is not known before it has ended. Without a payment no money is asked for.
            if payment != nil, case .begin = next, refunds.contains(where: { $0.isOnItsWay && $0.amount > 0 }) {
                next = .wait(until: now + .seconds(5))
            }
            switch next {
            case .goOn, .nothing: return next
            case .wait(let end):
                if order.hasEnded { try OrderStore.lookAgain(id, at: end, in: tx) }
                return next
            case .begin(let cause):
                let plan = RefundPlan(order: order, refunded: try RefundStore.refunded(of: id, in: tx))
                // It may have been paid at the door since the caller asked.
                let payment = payment.map { asked in order.payment.map { $0.version > asked.version ? $0 : asked } ?? asked }
                var refund = plan.everything(
                    captured: payment.map { $0.captured.amount - $0.lostInDisputes } ?? 0, withoutFees: withoutFees,
                    as: tries.first, cause: cause, insist: insist, at: now)
                refund.isOwed = order.hasEnded
                // Where other refunds give everything back and void every ticket, there is nothing to do once more.
                let voided = Set(refunds.filter(\.isUnderWay).flatMap { $0.shares.filter(\.voidsTicket).map(\.unit) })
                if let last = tries.last { try RefundStore.setOwed(false, of: last, in: tx) }
                guard refund.amount > 0 || refund.shares.contains(where: { !voided.contains($0.unit) }) else { return .nothing }
                _ = try RefundStore.insert(refund, in: tx)
                return .goOn(cause)
            }
        }
        switch next {
        case .goOn(let cause), .begin(let cause): return try await advance(id, cause).isUnderWay
        case .nothing: return true
        case .wait: return false
        }
    }

    /// Tries again what is owed of an order that has ended.
    /// - Returns: false where something is owed still.
    func refundOwed(_ id: OrderID, _ payment: Payment?) async throws -> Bool {
        let owed = try await database.read { tx in try RefundStore.refunds(of: id, in: tx) }.filter { $0.isOwed && !$0.isUnderWay }
        var isAllUnderWay = true
        for refund in owed {
            let isUnderWay = try await refundAll(id, payment, cause: RefundTries.cause(of: refund))
            isAllUnderWay = isAllUnderWay && isUnderWay
        }
        return isAllUnderWay
    }

    /// Takes a refund as far as it goes now.
    @discardableResult
    func advance(_ id: OrderID, _ cause: String) async throws -> RefundRecord {
        guard var refund = try await database.read({ tx in try RefundStore.find(id, cause, in: tx) }),
            let order = try await database.read({ tx in try OrderStore.find(id, in: tx) })
        else { throw Problem.notFound("refund") }
        guard refund.status == .requested || refund.status == .submitted else { return refund }
        if refund.status == .submitted, let told = try await payments.payment(of: id)?.refunds.first(where: { $0.id == refund.id }),
            told.status == .failed
        {
            // Not handed in once more: see `refundAll`.
            return try await finish(refund, .failed, of: order)
        }
        if refund.amount > 0, refund.id == nil { refund.id = try await ask(refund, order.totals.total.currency) }
        let voided = refund.shares.filter(\.voidsTicket).map(\.unit)
        if refund.status == .requested, !voided.isEmpty {
            do {
                try await tickets.block(
                    refund.blockID, TicketBlock(orderId: id, unitIds: voided, reason: "refund", insist: refund.isInsisting))
            } catch let problem as Problem where problem.status == 409 {
                if let refundID = refund.id { _ = try await payments.cancelRefund(refundID) }
                try await set(.canceled, of: refund)
                throw problem
            }
        }
        try await faults.point("sales.tickets-blocked")
        guard let refundID = refund.id else { return try await finish(refund, .succeeded, of: order) }
        return try await finish(refund, try await payments.submitRefund(refundID).status, of: order)
    }

    /// What Payments says of refunds that are on their way.
    func follow(_ payment: Payment, of order: OrderRecord) async throws {
        for told in payment.refunds where told.status == .succeeded || told.status == .failed {
            let refund = try await database.read { tx in try RefundStore.find(order.id, told.cause, in: tx) }
            // Money that went back went back, also where it had failed before.
            guard let refund, refund.mayBecome(told.status), refund.status != .requested || refund.id == told.id else { continue }
            _ = try await finish(refund, told.status, of: order)
        }
    }

    /// Writes it down at Payments, which refuses what is more than is left.
    private func ask(_ refund: RefundRecord, _ currency: Currency) async throws -> RefundID {
        do {
            let made = try await payments.requestRefund(
                NewRefund(
                    orderId: refund.orderID, causeId: refund.cause, amount: Money(refund.amount, currency), reason: refund.reason))
            try await database.write { tx in try RefundStore.setID(made.id, of: refund, in: tx) }
            return made.id
        } catch let problem as Problem where problem.code == "exceeds-refundable" || problem.code == "too-many-refunds" {
            // Nothing was begun. Another 409 says that another instance asks at this moment.
            try await set(.canceled, of: refund)
            throw problem
        }
    }

    private func finish(_ refund: RefundRecord, _ status: RefundState, of order: OrderRecord) async throws -> RefundRecord {
        var late: Payment?
        switch status {
        case .succeeded:
            let voided = Set(refund.shares.filter(\.voidsTicket).map(\.unit))
            if !voided.isEmpty { try await tickets.void(refund.blockID) }
            // What was to be paid later, at the door, is for nothing now, and must not be taken any more.
            if order.payment?.state == .open, order.units.allSatisfy({ $0.refunded || voided.contains($0.id) }) {
                let closed = try await payments.close(order.id, .canceled)
                if closed.captured.amount > closed.refunded.amount { late = closed }
            }
        case .failed, .canceled:
            // Of an order that has ended they stay blocked, until another try voids them.
            let hasEnded = try await database.read { tx in try OrderStore.find(order.id, in: tx)?.hasEnded ?? false }
            if !hasEnded, refund.shares.contains(where: \.voidsTicket) { try await tickets.unblock(refund.blockID) }
        case .requested, .submitted: break
        }
        try await faults.point("sales.refund-finished")
        let secret = secret
        let outbox = outbox
        let finished = try await database.write { tx in
            guard var order = try OrderStore.lock(refund.orderID, in: tx),
                var refund = try RefundStore.find(refund.orderID, refund.cause, in: tx)
            else { throw Problem.notFound("refund") }
            guard refund.mayBecome(status) else { return refund }
            refund.status = status
            try RefundStore.setStatus(status, of: refund, in: tx)
            // An order that has ended is looked at again until its money is back.
            if status == .failed, refund.isOwed { try OrderStore.setUnsettled(order.id, in: tx) }
            guard status == .succeeded else { return refund }
            try RefundStore.markRefunded(refund.shares.filter(\.voidsTicket).map(\.unit), in: tx)
            try OrderStore.save(&order, in: tx)
            try OrderStore.history(order.id, "refunded", actor: "sales-manager", reason: refund.cause, in: tx)
            guard let id = refund.id, let changed = try OrderStore.find(order.id, in: tx) else { return refund }
            try outbox.append(
                OrderRefunded(
                    order: changed.facts(token: secret.token(for: "\(order.id)")), refundId: id,
                    amount: Money(refund.amount, order.totals.total.currency), units: refund.shares.map(\.unit), reason: refund.reason,
                    refundedAt: try tx.now), of: "\(order.id)", version: order.version, in: tx)
            return refund
        }
        if let late { try await giveBack(late, of: order, cause: "\(refund.cause):late") }
        let voided = finished.shares.filter(\.voidsTicket).map(\.unit)
        if finished.status == .failed, finished.isOwed, !voided.isEmpty {
            // It may have been canceled just after its tickets were unblocked.
            try await tickets.block(finished.blockID, TicketBlock(orderId: order.id, unitIds: voided, reason: "refund", insist: true))
        }
        return finished
    }

    /// What was taken at the door while the order was being canceled.
    private func giveBack(_ payment: Payment, of order: OrderRecord, cause: String) async throws {
        let refund = RefundRecord(
            orderID: order.id, cause: cause, status: .requested, amount: payment.captured.amount - payment.refunded.amount, reason: cause,
            isInsisting: true, isOwed: true, createdAt: .now, shares: [])
        try await database.write { tx in
            try OrderStore.save(payment, of: order.id, in: tx)
            _ = try RefundStore.insert(refund, in: tx)
        }
        try await advance(order.id, cause)
        try await payments.settle(order.id, .refunded)
    }

    private func set(_ status: RefundState, of refund: RefundRecord) async throws {
        try await database.write { tx in try RefundStore.setStatus(status, of: refund, in: tx) }
    }
}

extension OrderRecord {
    var hasEnded: Bool { status == .canceled || status == .expired }
}

extension Payment {
    /// Went back to the payer without us.
    fileprivate var lostInDisputes: Int64 {
        (disputes ?? []).reduce(0) { $0 + ($1.state == .lost ? $1.amount.amount : 0) }
    }
}

/// The tries of one refund, each under a cause of its own: `unfulfillable`, `unfulfillable:2`, ...
struct RefundTries: Sendable {
    enum Next: Sendable {
        /// One that is under way, or was given.
        case goOn(String)
        /// A new one.
        case begin(String)
        /// Until then it is too early for another.
        case wait(until: Instant)
        /// There is nothing to give back.
        case nothing
    }

    private static let firstPause = TimeSpan.minutes(1)
    private static let longestPause = TimeSpan.days(1)

    private let cause: String
    private let tries: [RefundRecord]

    init(of cause: String, among refunds: [RefundRecord]) {
        self.cause = cause
        tries = refunds.filter { RefundTries.cause(of: $0) == cause }
    }

    /// Without the number of the try.
    static func cause(of refund: RefundRecord) -> String {
        let parts = refund.cause.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count > 1, Int(parts[parts.count - 1]) != nil else { return refund.cause }
        return parts.dropLast().joined(separator: ":")
    }

    /// Whose amounts the others repeat.
    var first: RefundRecord? { tries.first }
    /// That which failed, or was withdrawn, or is under way.
    var last: RefundRecord? { tries.last }
    var living: RefundRecord? { tries.first(where: \.isUnderWay) }

    func next(at now: Instant, isAsked: Bool) -> Next {
        if let living { return .goOn(living.cause) }
        guard let last else { return .begin(cause) }
        let pause = min(
            RefundTries.longestPause, TimeSpan(microseconds: RefundTries.firstPause.microseconds << min(tries.count - 1, 20)))
        // What was withdrawn, as for a ticket whose holder was inside, may be asked for again at once.
        if now < last.createdAt + pause, !(isAsked && last.status == .canceled) { return .wait(until: last.createdAt + pause) }
        return .begin("\(cause):\(tries.count + 1)")
    }
}

/// What can be given back of an order, by what was paid and never by today's prices.
struct RefundPlan: Sendable {
    let order: OrderRecord
    /// Given back for each unit so far, or on its way.
    let refunded: [OrderUnitID: Int64]

    private func left(_ unit: OrderUnit) -> Int64 { unit.total - (refunded[unit.id] ?? 0) }

    func refund(_ request: RefundRequest, cause: String, at now: Instant) throws -> RefundRecord {
        let currency = order.totals.total.currency
        if let amount = request.amount, amount.currency != currency {
            throw Problem.invalid("amount.currency", "must be the order's, \(currency)")
        }
        let units: [OrderUnit]
        if let wanted = request.units {
            units = order.units.filter { wanted.contains($0.id) }
            guard !wanted.isEmpty, units.count == Set(wanted).count else { throw Problem.invalid("units", "must be units of this order") }
            guard units.allSatisfy({ left($0) > 0 || ($0.total == 0 && !$0.refunded) }) else {
                throw Problem.conflict("already-refunded", "A unit is refunded already", "Leave it out.")
            }
        } else {
            units = order.units.filter { left($0) > 0 || $0.total == 0 && !$0.refunded }
        }
        let available = units.reduce(0) { $0 + left($1) }
        let captured = order.payment?.captured.amount ?? 0
        let amount = request.amount?.amount ?? min(available, captured)
        guard amount > 0 || request.amount == nil else { throw Problem.invalid("amount.amount", "must be more than nothing") }
        guard amount <= available, !units.isEmpty else {
            throw Problem.conflict(
                "exceeds-refundable", "That is more than can be refunded", "\(Money(available, currency)) are left of what was paid.")
        }
        // A part of the money alone leaves the tickets as they are.
        let isForTickets = request.units != nil || request.amount == nil || amount == available
        let amounts = apportion(amount, by: units.map(left))
        let shares = zip(units, amounts).map { unit, share in
            RefundRecord.Share(unit: unit.id, amount: share, voidsTicket: isForTickets)
        }
        return RefundRecord(
            orderID: order.id, cause: cause, status: .requested, amount: amount, reason: request.reason,
            isInsisting: request.insist ?? false, isOwed: false, createdAt: now, shares: shares)
    }

    /// - Parameters:
    ///   - captured: what was, less what disputes have taken back for good.
    ///   - before: the first try, which is repeated as far as something is left.
    func everything(
        captured: Int64, withoutFees: Bool, as before: RefundRecord? = nil, cause: String, insist: Bool, at now: Instant
    ) -> RefundRecord {
        let units = order.units.filter { !$0.refunded }
        let amountsBefore = before.map { Dictionary($0.shares.map { ($0.unit, $0.amount) }) { $1 } }
        var amounts = units.map { unit in
            let wanted = amountsBefore?[unit.id] ?? left(unit) - (withoutFees ? unit.fee : 0)
            return max(0, min(left(unit), wanted))
        }
        let available = max(0, captured - refunded.values.reduce(0, +))
        if amounts.reduce(0, +) > available { amounts = apportion(available, by: amounts) }
        let shares = zip(units, amounts).map { unit, amount in RefundRecord.Share(unit: unit.id, amount: amount, voidsTicket: true) }
        return RefundRecord(
            orderID: order.id, cause: cause, status: .requested, amount: shares.reduce(0) { $0 + $1.amount },
            reason: before?.reason ?? cause, isInsisting: insist, isOwed: false, createdAt: now, shares: shares)
    }
}

import Contracts
import Discovery
import ServiceKit
import Storage
import Values

/// A request for a hold, with the key under which its answer is remembered.
struct HoldQuestion: Sendable {
    let request: NewHold
    let key: IdempotencyKey
    let id: HoldID
}

/// Decides requests for one event in their order, in memory, and writes what came of it in few statements.
struct HoldBatch {
    let event: EventID
    let questions: [HoldQuestion]
    let holdTime: TimeSpan

    /// A lane for each event: a hold may need several pools, and all of one cart belong to one event. Several instances may work
    /// side by side; the pools' row locks order their batches.
    static func coalescer(_ configuration: LiveSettings<TicketManagerConfiguration>) -> Coalescer<HoldQuestion, Hold> {
        Coalescer { questions, tx in
            try HoldBatch(event: questions[0].request.eventId, questions: questions, holdTime: configuration.holdTime).decide(in: tx)
        }
    }

    func decide(in tx: Transaction) throws -> [Result<Hold, any Error>] {
        let wanted = Set(questions.flatMap { $0.request.lines.map(\.ticketTypeId) })
        // Asked together, and answered under the locks: another instance may have had the same request a moment ago.
        let locked = try InventoryStore.askToLockPools(of: wanted, in: tx)
        let asked = (
            types: try InventoryStore.ticketTypes(wanted, in: tx), isClosed: try InventoryStore.isClosed(event, in: tx),
            neverHeld: try HoldStore.neverHeld(wanted, in: tx), known: try Idempotency.made(under: questions.map(\.key), in: tx)
        )
        var (stock, now) = try InventoryStore.stock(locked, in: tx)
        let (types, isClosed) = (try asked.types.get(), try asked.isClosed.get())
        let neverHeld = try asked.neverHeld.get()
        var known = try asked.known.get()

        var answers: [Result<Hold, any Error>] = []
        var holds: [HoldRecord] = []
        var made: [(id: String, key: IdempotencyKey)] = []
        let decision = HoldDecision(event: event, types: types, isClosed: isClosed, now: now)
        for question in questions {
            do {
                if let earlier = try known[question.key.identity]?.id(for: question.key) {
                    answers.append(.success(try first(earlier, among: holds, in: tx).wire(at: now)))
                    continue
                }
                let hold = try decision.make(
                    question, expiresAt: now + (question.request.ttlSeconds.map { .seconds($0) } ?? holdTime), from: &stock)
                holds.append(hold)
                // A refusal is not remembered: stock may return.
                let id = hold.id.description
                known[question.key.identity] = Idempotency.Made(id, under: question.key)
                made.append((id, question.key))
                answers.append(.success(hold.wire(at: now)))
            } catch let problem as Problem {
                answers.append(.failure(problem))
            }
        }
        if !holds.isEmpty {
            try HoldStore.insert(holds, at: now, in: tx)
            // Of those that were held before no row is waited for.
            let firstHeld = neverHeld.intersection(holds.flatMap { $0.lines.map(\.line.ticketTypeId) })
            if !firstHeld.isEmpty { try HoldStore.markHeld(firstHeld, in: tx) }
            try Idempotency.remember(made, in: tx)
            try InventoryStore.save(stock, at: now, in: tx)
        }
        return answers
    }

    /// What was made under a key that comes again, by this batch or before it.
    private func first(_ id: String, among holds: [HoldRecord], in tx: Transaction) throws -> HoldRecord {
        if let hold = holds.first(where: { $0.id.description == id }) { return hold }
        guard let id = HoldID(id), let hold = try HoldStore.find(id, in: tx) else { throw Problem.notFound("hold") }
        return hold
    }
}

/// The rules by which a hold is made or changed.
struct HoldDecision {
    let event: EventID
    let types: [TicketTypeID: TicketType]
    let isClosed: Bool
    let now: Instant

    func make(_ question: HoldQuestion, expiresAt: Instant, from stock: inout Stock) throws -> HoldRecord {
        var lines: [HoldRecord.Line] = []
        for line in question.request.lines {
            lines.append(try self.line(line, accessCode: question.request.accessCode))
        }
        var hold = HoldRecord(
            id: question.id, eventID: event, state: .active, expiresAt: expiresAt, orderID: nil, lines: lines, claims: [])
        let need = hold.need
        try take(need, for: lines, from: &stock)
        hold.claims = need.sorted { $0.key < $1.key }.map { HoldRecord.Claim(pool: $0.key, quantity: $0.value, state: .held) }
        return hold
    }

    /// A line as it can be bought now. - Parameter existing: what the buyer keeps as long as the hold lives.
    func line(_ line: HoldRequestLine, accessCode: String?, existing: HoldRecord.Line? = nil) throws -> HoldRecord.Line {
        guard let type = types[line.ticketTypeId], type.eventId == event,
            !type.hidden || type.accessCode == nil || type.accessCode == accessCode || existing != nil
        else { throw Problem.unknownTicketType(line.ticketTypeId) }
        guard !isClosed else {
            throw refusal("event-closed", "Nothing is sold for this event any more", "It was canceled.", type)
        }
        guard !type.archived else {
            throw refusal("sales-ended", "This ticket type is no longer sold", "Choose another.", type)
        }
        if let start = type.salesStart, now < start {
            throw refusal("not-yet-on-sale", "This ticket type is not on sale yet", "Its sale begins at \(start).", type)
        }
        if let end = type.salesEnd, now >= end {
            throw refusal("sales-ended", "This ticket type is no longer sold", "Its sale ended at \(end).", type)
        }
        guard line.quantity >= type.minPerOrder, line.quantity <= type.maxPerOrder else {
            throw Problem.invalid(
                "quantity", "must be from \(type.minPerOrder) to \(type.maxPerOrder) for \(type.name)")
        }
        if var kept = existing {
            kept.line.quantity = line.quantity
            return kept
        }
        return HoldRecord.Line(
            line: HoldLine(
                ticketTypeId: type.id, name: type.name, quantity: line.quantity, price: type.price, taxRate: type.taxRate,
                fee: type.fee, feeIncluded: type.feeIncluded),
            pools: type.poolIds)
    }

    /// All or nothing; a shortage names the line that it concerns.
    func take(_ need: [PoolID: Int64], for lines: [HoldRecord.Line], from stock: inout Stock) throws {
        do {
            try stock.hold(need)
        } catch {
            let (pool, isSoldOut) =
                switch error {
                case .soldOut(let pool): (pool, true)
                case .allHeld(let pool): (pool, false)
                }
            guard let line = lines.first(where: { $0.pools.contains(pool) })?.line, let type = types[line.ticketTypeId] else { throw error }
            throw isSoldOut
                ? refusal("sold-out", "\(type.name) is sold out", "Not that many are left.", type)
                : refusal(
                    "all-held", "All of \(type.name) are held at the moment", "Others hold them for a few minutes; some may return.", type)
        }
    }

    private func refusal(_ code: String, _ title: String, _ detail: String, _ type: TicketType) -> Problem {
        Problem(409, code, title, detail: detail, members: ["ticketTypeId": "\(type.id)"])
    }
}

extension Problem {
    static func unknownTicketType(_ id: TicketTypeID) -> Problem {
        Problem(
            422, "unknown-ticket-type", "There is no such ticket type for this event", detail: "Choose one that the event lists.",
            errors: [Field("ticketTypeId", "is not one of this event's")], members: ["ticketTypeId": "\(id)"])
    }
}

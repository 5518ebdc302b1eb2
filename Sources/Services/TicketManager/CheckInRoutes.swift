import Contracts
import Discovery
import ServiceKit
import Storage
import Values

/// The door.
struct CheckInRoutes: Sendable {
    let database: Database
    let staff: Staff

    var endpoints: [Endpoint] {
        [Endpoint(TicketManagerRoutes.checkIn, checkIn)]
    }

    /// A repeated reading (same ticket, same nonce, within a minute) gets the first answer, marked; a nonce that comes with
    /// another code is another reading.
    @Sendable private func checkIn(_ call: Call) async throws -> Reply {
        let event: EventID = try call.id("id")
        let body = try call.body(CheckInRequest.self)
        var validation = Validation()
        validation.text(body.code, "code", atMost: 1_000)
        validation.text(body.nonce, "nonce", atMost: 200)
        validation.text(body.gate, "gate", atMost: 200)
        validation.text(body.device, "device", atMost: 200)
        try validation.end()
        try await staff.require(.door, of: event, for: call.identity)
        guard let code = TicketCode(body.code) else { return try .ok(CheckInAnswer(refused: .unknownCode)) }
        let scanner = "\(try call.user.id)"
        let id = ScanID()
        let answer = try await database.write { tx -> CheckInAnswer in
            guard let record = try TicketStore.lock(code.ticket, in: tx) else { return CheckInAnswer(refused: .unknownCode) }
            let now = try tx.now
            let direction = body.direction ?? .in
            // Who is of another event learns nothing of the ticket.
            let summary = record.ticket.eventId == event ? record.ticket.summary : nil
            let decision = CheckIn(event: event, code: body.code, direction: direction).decide(record)
            if case .failure(let refusal) = decision, [.alreadyUsed, .notInside].contains(refusal.reason),
                let first = try TicketStore.admission(
                    of: record.ticket.id, nonce: body.nonce, direction: direction, since: now - CheckIn.repetition, in: tx)
            {
                return CheckInAnswer(result: .admitted, repeated: true, ticket: summary, previous: first)
            }
            let scan = Scan(
                id: id, ticket: record.ticket.id, direction: direction, refusal: decision.refusal, nonce: body.nonce, gate: body.gate,
                device: body.device, scanner: scanner, at: now)
            try TicketStore.insert(scan, in: tx)
            switch decision {
            case .success(let state):
                try TicketStore.enter(record.ticket.id, state, gate: body.gate, at: now, in: tx)
                var admitted = summary
                admitted?.status = state
                return CheckInAnswer(result: .admitted, repeated: false, ticket: admitted)
            case .failure(let refusal):
                let previous =
                    refusal.reason == .otherEvent
                    ? nil : record.ticket.checkedInAt.map { CheckInAnswer.Previous(at: $0, gate: record.checkedInGate) }
                return CheckInAnswer(
                    result: .refused, reason: refusal.reason.rawValue, repeated: false, ticket: summary, previous: previous)
            }
        }
        return try .ok(answer)
    }
}

/// One reading of a code, kept as a fact.
struct Scan: Sendable {
    let id: ScanID
    let ticket: TicketID
    let direction: Direction
    let refusal: CheckIn.Refusal?
    let nonce: String
    let gate: String?
    let device: String?
    let scanner: String
    let at: Instant
}

extension Result where Failure == CheckIn.RefusalError {
    fileprivate var refusal: CheckIn.Refusal? {
        if case .failure(let error) = self { error.reason } else { nil }
    }
}

extension CheckInAnswer {
    fileprivate init(refused reason: CheckIn.Refusal) {
        self.init(result: .refused, reason: reason.rawValue, repeated: false)
    }
}

extension Ticket {
    fileprivate var summary: CheckInAnswer.TicketSummary {
        CheckInAnswer.TicketSummary(id: id, ticketTypeName: ticketTypeName, attendee: attendee, status: status)
    }
}

extension TicketStore {
    /// The ticket with its row locked, so that two doors decide one after the other.
    static func lock(_ id: TicketID, in tx: Transaction) throws -> TicketRecord? {
        guard try tx.row("SELECT id FROM ticket WHERE id = \(id) \(.forUpdate)") != nil else { return nil }
        return try find(id, in: tx)
    }

    static func admission(
        of ticket: TicketID, nonce: String, direction: Direction, since: Instant, in tx: Transaction
    ) throws -> CheckInAnswer.Previous? {
        try tx.row(
            """
            SELECT scanned_at, gate FROM scan WHERE ticket_id = \(ticket) AND nonce = \(nonce) AND direction = \(direction)
                AND result = 'admitted' AND scanned_at > \(since) ORDER BY scanned_at DESC LIMIT 1
            """
        ).map { CheckInAnswer.Previous(at: try $0["scanned_at"], gate: try $0["gate"]) }
    }

    static func insert(_ scan: Scan, in tx: Transaction) throws {
        try tx.execute(
            """
            INSERT INTO scan (id, ticket_id, direction, result, reason, nonce, gate, device, scanned_by, scanned_at)
            VALUES (\(scan.id), \(scan.ticket), \(scan.direction), \(scan.refusal == nil ? "admitted" : "refused"),
                \(scan.refusal?.rawValue), \(scan.nonce), \(scan.gate), \(scan.device), \(scan.scanner), \(scan.at))
            """)
    }

    static func enter(_ id: TicketID, _ state: TicketState, gate: String?, at now: Instant, in tx: Transaction) throws {
        guard state == .checkedIn else {
            try tx.execute("UPDATE ticket SET state = \(state) WHERE id = \(id)")
            return
        }
        try tx.execute(
            """
            UPDATE ticket SET state = \(state), checked_in_at = \(now), checked_in_gate = \(gate), entries = entries + 1
            WHERE id = \(id)
            """)
    }
}

import Contracts
import Storage
import Values

/// A code that a scanner has read at an event's door.
struct Reading: Sendable {
    let id: ScanID
    let event: EventID
    let ticket: TicketID
    let request: CheckInRequest
    let scanner: String

    var direction: Direction { request.direction ?? .in }
}

/// Decides readings one after the other, each on what those before it have left.
///
/// A repeated reading (same ticket, direction and nonce, within a minute) gets the first answer, marked, and changes nothing, unless another
/// reading in the same direction was admitted since; a nonce that comes with another code is another reading.
struct CheckInBatch {
    private let readings: [Reading]
    private let tx: Transaction
    private let now: Instant
    private var records: [TicketID: TicketRecord]
    private var scans: [Scan] = []

    init(_ readings: [Reading], in tx: Transaction) throws {
        self.readings = readings
        self.tx = tx
        records = try TicketStore.lock(Set(readings.map(\.ticket)), in: tx)
        now = try tx.now
    }

    consuming func decide() throws -> [Result<CheckInAnswer, any Error>] {
        var answers: [Result<CheckInAnswer, any Error>] = []
        for reading in readings { answers.append(.success(try decide(reading))) }
        try TicketStore.insert(scans, in: tx)
        return answers
    }

    private mutating func decide(_ reading: Reading) throws -> CheckInAnswer {
        guard let record = records[reading.ticket] else { return CheckInAnswer(refused: .unknownCode) }
        // Who is of another event learns nothing of the ticket.
        let summary = record.ticket.eventId == reading.event ? record.ticket.summary : nil
        let decision = CheckIn(event: reading.event, code: reading.request.code, direction: reading.direction).decide(record)
        // Also where the ticket could go that way again: it has gone the other way in between, and the scanner's question was about before.
        if [nil, .alreadyUsed, .notInside].contains(decision.refusal),
            let first = record.last(reading.direction), first.nonce == reading.request.nonce, first.at > now - CheckIn.repetition
        {
            return CheckInAnswer(
                result: .admitted, repeated: true, ticket: summary, previous: CheckInAnswer.Previous(at: first.at, gate: first.gate))
        }
        scans.append(Scan(reading, refusal: decision.refusal, at: now))
        switch decision {
        case .success(let state):
            let admission = Admission(at: now, gate: reading.request.gate, nonce: reading.request.nonce)
            try TicketStore.admit(reading.ticket, state, admission, in: tx)
            var admitted = record
            admitted.admit(state, admission)
            records[reading.ticket] = admitted
            return CheckInAnswer(result: .admitted, repeated: false, ticket: admitted.ticket.summary)
        case .failure(let refusal):
            let previous =
                refusal.reason == .otherEvent
                ? nil : record.lastIn.map { CheckInAnswer.Previous(at: $0.at, gate: $0.gate) }
            return CheckInAnswer(
                result: .refused, reason: refusal.reason.rawValue, repeated: false, ticket: summary, previous: previous)
        }
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

    init(_ reading: Reading, refusal: CheckIn.Refusal?, at now: Instant) {
        id = reading.id
        ticket = reading.ticket
        direction = reading.direction
        self.refusal = refusal
        nonce = reading.request.nonce
        gate = reading.request.gate
        device = reading.request.device
        scanner = reading.scanner
        at = now
    }
}

extension Result where Failure == CheckIn.RefusalError {
    fileprivate var refusal: CheckIn.Refusal? {
        if case .failure(let error) = self { error.reason } else { nil }
    }
}

extension Ticket {
    fileprivate var summary: CheckInAnswer.TicketSummary {
        CheckInAnswer.TicketSummary(id: id, ticketTypeName: ticketTypeName, attendee: attendee, status: status)
    }
}

extension TicketStore {
    /// The tickets with their rows locked in the order of their ids, so that two doors decide one after the other.
    static func lock(_ ids: Set<TicketID>, in tx: Transaction) throws -> [TicketID: TicketRecord] {
        var records: [TicketID: TicketRecord] = [:]
        try tx.inChunks(ids.sorted()) { ids in
            try tx.lock("SELECT id FROM ticket WHERE id IN \(list: ids) ORDER BY id \(.forUpdate)")
            for record in try tickets(ids, in: tx) { records[record.ticket.id] = record }
        }
        return records
    }

    static func insert(_ scans: [Scan], in tx: Transaction) throws {
        try tx.insert(
            "INSERT INTO scan (id, ticket_id, direction, result, reason, nonce, gate, device, scanned_by, scanned_at) VALUES", scans
        ) { rows, scan in
            rows.append(
                scan.id, scan.ticket, scan.direction, scan.refusal == nil ? "admitted" : "refused", scan.refusal?.rawValue, scan.nonce,
                scan.gate, scan.device, scan.scanner, scan.at)
        }
    }

    static func admit(_ id: TicketID, _ state: TicketState, _ admission: Admission, in tx: Transaction) throws {
        guard state == .checkedIn else {
            try tx.queue(
                """
                UPDATE ticket SET state = \(state), checked_out_at = \(admission.at), checked_out_gate = \(admission.gate),
                    checked_out_nonce = \(admission.nonce)
                WHERE id = \(id)
                """)
            return
        }
        try tx.queue(
            """
            UPDATE ticket SET state = \(state), checked_in_at = \(admission.at), checked_in_gate = \(admission.gate),
                checked_in_nonce = \(admission.nonce), entries = entries + 1
            WHERE id = \(id)
            """)
    }
}

extension TicketRecord {
    /// As `TicketStore.admit` writes it.
    fileprivate mutating func admit(_ state: TicketState, _ admission: Admission) {
        ticket.status = state
        guard state == .checkedIn else {
            lastOut = admission
            return
        }
        lastIn = admission
        ticket.checkedInAt = admission.at
    }

    fileprivate func last(_ direction: Direction) -> Admission? {
        switch direction {
        case .in: lastIn
        case .out: lastOut
        }
    }
}

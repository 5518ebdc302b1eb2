import Contracts
import Discovery
import ServiceKit
import Storage
import Values

/// The door.
struct CheckInRoutes: Sendable {
    let database: Database
    let staff: Staff
    private let coalescer = Coalescer<Reading, CheckInAnswer> { readings, tx in try CheckInBatch(readings, in: tx).decide() }

    init(database: Database, staff: Staff) {
        self.database = database
        self.staff = staff
    }

    var endpoints: [Endpoint] {
        [Endpoint(TicketManagerRoutes.checkIn, checkIn)]
    }

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
        let reading = Reading(id: ScanID(), event: event, ticket: code.ticket, request: body, scanner: "\(try call.user.id)")
        return try .ok(try await database.write(reading, lane: "door \(event)", by: coalescer))
    }
}

extension CheckInAnswer {
    init(refused reason: CheckIn.Refusal) {
        self.init(result: .refused, reason: reason.rawValue, repeated: false)
    }
}

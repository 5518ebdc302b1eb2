import Contracts
import Discovery
import HTTPTypes
import Messaging
import ServiceKit
import Storage
import Values

/// Ticket types and their availability.
struct TicketTypeRoutes: Sendable {
    static let largestPrice: Int64 = 1_000_000_000

    let database: Database
    let outbox: Outbox
    let staff: Staff

    var endpoints: [Endpoint] {
        [
            Endpoint(TicketManagerRoutes.ticketTypes, list),
            Endpoint(TicketManagerRoutes.createTicketType, create),
            Endpoint(TicketManagerRoutes.ticketType, show),
            Endpoint(TicketManagerRoutes.ticketTypeForServices, showToService),
            Endpoint(TicketManagerRoutes.changeTicketType, change),
            Endpoint(TicketManagerRoutes.deleteTicketType, delete),
            Endpoint(TicketManagerRoutes.availability, availability),
        ]
    }

    /// Hidden ones and access codes are for staff.
    @Sendable private func list(_ call: Call) async throws -> Reply {
        let event: EventID = try call.id("id")
        try await staff.requireKnown(event, to: call.identity)
        let isStaff = try await staff.includes(call.identity, of: event)
        let types = try await database.read { tx in try InventoryStore.ticketTypes(of: event, in: tx) }
        let shown = isStaff ? types : types.filter { !$0.hidden && !$0.archived }.map(\.public)
        return try .ok(Page(items: shown, next: nil))
    }

    @Sendable private func show(_ call: Call) async throws -> Reply {
        let type = try await find(try call.id("id"))
        if try await staff.includes(call.identity, of: type.eventId) { return try .ok(type, etag: "\"\(type.version)\"") }
        try await staff.requireKnown(type.eventId, to: call.identity, what: "ticket type")
        guard !type.hidden, !type.archived else { throw Problem.notFound("ticket type") }
        return try .ok(type.public, etag: "\"\(type.version)\"")
    }

    @Sendable private func showToService(_ call: Call) async throws -> Reply {
        try .ok(try await find(try call.id("id")))
    }

    @Sendable private func create(_ call: Call) async throws -> Reply {
        let event: EventID = try call.id("id")
        let body = try call.body(NewTicketType.self)
        let facts = try await staff.require(.manager, of: event, for: call.identity)
        let window = try await window(body.salesStart, body.salesEnd, of: event)
        let type = TicketType(
            id: TicketTypeID(), eventId: event, name: body.name, description: body.description, price: body.price,
            poolIds: Array(Set(body.poolIds)).sorted(), salesStart: window.start?.instant, salesEnd: window.end?.instant,
            minPerOrder: body.minPerOrder ?? 1, maxPerOrder: body.maxPerOrder ?? 10, maxPerBuyer: body.maxPerBuyer,
            hidden: body.hidden ?? false, accessCode: body.accessCode, taxRate: body.taxRate ?? 0, fee: body.fee ?? 0,
            feeIncluded: body.feeIncluded ?? false, archived: false, version: 1)
        try TicketTypeRoutes.validate(type, currency: facts.currency)
        let actor = try call.user.id
        return try await database.write { tx in
            let pools = Set(try InventoryStore.pools(of: event, in: tx).map(\.id))
            guard pools.isSuperset(of: type.poolIds) else { throw Problem.invalid("poolIds", "must be pools of this event") }
            try InventoryStore.insert(type, window: window, in: tx)
            try InventoryStore.history("\(type.id)", "created", actor: "\(actor)", in: tx)
            try outbox.append(TicketTypeChanged(ticketType: type), of: "\(type.id)", version: type.version, in: tx)
            return try .created(type, at: "/api/v1/ticket-types/\(type.id)")
        }
    }

    @Sendable private func change(_ call: Call) async throws -> Reply {
        let id: TicketTypeID = try call.id("id")
        let body = try call.body(TicketTypeChange.self)
        let found = try await find(id)
        let facts = try await staff.require(.manager, of: found.eventId, for: call.identity, what: "ticket type")
        let window = try await window(body.salesStart, body.salesEnd, of: found.eventId)
        let actor = try call.user.id
        return try await database.write { tx in
            try InventoryStore.lockTicketType(id, in: tx)
            guard var type = try InventoryStore.ticketType(id, in: tx) else { throw Problem.notFound("ticket type") }
            try call.mustMatch(version: type.version)
            type.apply(body, window)
            type.version += 1
            try TicketTypeRoutes.validate(type, currency: facts.currency)
            try InventoryStore.update(type, window: window, in: tx)
            try InventoryStore.history("\(id)", "changed", actor: "\(actor)", in: tx)
            try outbox.append(TicketTypeChanged(ticketType: type), of: "\(id)", version: type.version, in: tx)
            return try .ok(type, etag: "\"\(type.version)\"")
        }
    }

    /// One that was ever held is archived, for orders and tickets name it.
    @Sendable private func delete(_ call: Call) async throws -> Reply {
        let id: TicketTypeID = try call.id("id")
        let found = try await find(id)
        try await staff.require(.manager, of: found.eventId, for: call.identity, what: "ticket type")
        let actor = try call.user.id
        return try await database.write { tx in
            // The pools' locks order this against holds.
            let (stock, now) = try InventoryStore.lock(found.poolIds, in: tx)
            try InventoryStore.save(stock, at: now, in: tx)
            guard let row = try tx.row("SELECT was_held FROM ticket_type WHERE id = \(id)") else { throw Problem.notFound("ticket type") }
            if try row["was_held"] {
                try tx.queue("UPDATE ticket_type SET is_archived = TRUE, version = version + 1 WHERE id = \(id)")
            } else {
                try tx.queue("DELETE FROM ticket_type_pool WHERE ticket_type_id = \(id)")
                try tx.queue("DELETE FROM ticket_type WHERE id = \(id)")
            }
            try InventoryStore.history("\(id)", "deleted", actor: "\(actor)", in: tx)
            return .noContent
        }
    }

    /// A snapshot: it never waits for the writer.
    @Sendable private func availability(_ call: Call) async throws -> Reply {
        let event: EventID = try call.id("id")
        try await staff.requireKnown(event, to: call.identity)
        let items = try await database.read { tx in
            let pools = Dictionary(uniqueKeysWithValues: try InventoryStore.pools(of: event, in: tx).map { ($0.id, $0) })
            let isClosed = try InventoryStore.isClosed(event, in: tx).get()
            let now = try tx.now
            return try InventoryStore.ticketTypes(of: event, in: tx).filter { !$0.hidden && !$0.archived }.map { type in
                type.availability(in: type.poolIds.compactMap { pools[$0] }, isClosed: isClosed, at: now)
            }
        }
        return try .ok(Page(items: items, next: nil))
    }

    /// When it is sold, in the time zone that the event has now.
    private func window(_ start: String?, _ end: String?, of event: EventID) async throws -> SalesWindow {
        guard start != nil || end != nil else { return SalesWindow() }
        return try SalesWindow(start: start, end: end, zone: try await staff.events.timeZone(of: event))
    }

    private func find(_ id: TicketTypeID) async throws -> TicketType {
        guard let type = try await database.read({ tx in try InventoryStore.ticketType(id, in: tx) }) else {
            throw Problem.notFound("ticket type")
        }
        return type
    }

    private static func validate(_ type: TicketType, currency: Currency) throws {
        var validation = Validation()
        validation.text(type.name, "name", atMost: 200)
        validation.text(type.description, "description", atMost: 20_000, isRequired: false)
        validation.check((0...largestPrice).contains(type.price.amount), "price.amount", "must be from 0 to \(largestPrice)")
        validation.check(type.price.currency == currency, "price.currency", "must be the event's, \(currency)")
        validation.check((1...20).contains(type.poolIds.count), "poolIds", "must name 1 to 20 pools")
        validation.check((1...1_000).contains(type.minPerOrder), "minPerOrder", "must be from 1 to 1,000")
        validation.check(
            type.maxPerOrder >= type.minPerOrder && type.maxPerOrder <= 1_000, "maxPerOrder", "must be from minPerOrder to 1,000")
        validation.check(type.maxPerBuyer.map { (1...1_000_000).contains($0) } ?? true, "maxPerBuyer", "must be from 1 to 1,000,000")
        validation.text(type.accessCode, "accessCode", atMost: 100)
        validation.check((0...10_000).contains(type.taxRate), "taxRate", "must be from 0 to 10,000 basis points")
        validation.check((0...largestPrice).contains(type.fee), "fee", "must be from 0 to \(largestPrice)")
        validation.check(!type.feeIncluded || type.fee <= type.price.amount, "fee", "must not be more than the price that contains it")
        if let start = type.salesStart, let end = type.salesEnd {
            validation.check(start < end, "salesEnd", "must be after salesStart")
        }
        try validation.end()
    }
}

extension TicketType {
    /// Without what only staff may know.
    var `public`: TicketType {
        var type = self
        type.accessCode = nil
        return type
    }

    mutating func apply(_ change: TicketTypeChange, _ window: SalesWindow) {
        name = change.name ?? name
        description = change.description ?? description
        price = change.price ?? price
        salesStart = window.start?.instant ?? salesStart
        salesEnd = window.end?.instant ?? salesEnd
        minPerOrder = change.minPerOrder ?? minPerOrder
        maxPerOrder = change.maxPerOrder ?? maxPerOrder
        maxPerBuyer = change.maxPerBuyer ?? maxPerBuyer
        hidden = change.hidden ?? hidden
        accessCode = change.accessCode ?? accessCode
        taxRate = change.taxRate ?? taxRate
        fee = change.fee ?? fee
        feeIncluded = change.feeIncluded ?? feeIncluded
    }

    func availability(in pools: [Pool], isClosed: Bool, at now: Instant) -> Availability {
        let free = pools.map { $0.capacity - $0.held - $0.sold - $0.allocated }.min() ?? 0
        let unsold = pools.map { $0.capacity - $0.sold - $0.allocated }.min() ?? 0
        let state: Availability.State =
            if let salesStart, now < salesStart {
                .notYet
            } else if isClosed || salesEnd.map({ now >= $0 }) ?? false {
                .ended
            } else if unsold < minPerOrder {
                .soldOut
            } else if free < minPerOrder {
                .allHeld
            } else {
                .onSale
            }
        return Availability(ticketTypeId: id, state: state, remaining: state == .onSale ? free : nil)
    }
}

extension SalesWindow {
    /// Local times of the event's zone, or RFC 3339 with an offset.
    init(start: String?, end: String?, zone: String) throws {
        self.start = try start.map { try ZonedTime(sent: $0, "salesStart", zone: zone) }
        self.end = try end.map { try ZonedTime(sent: $0, "salesEnd", zone: zone) }
    }
}

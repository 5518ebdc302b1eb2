import Contracts
import Discovery
import ServiceKit
import ServiceLifecycle
import Values

/// Loads the demonstration through the public HTTP API, as people would have made it.
///
/// Everything is made once: the journal knows what is there, and requests have keys derived from fixed names, for the case that
/// the process ended between an answer and its line.
struct DemoLoader: Sendable {
    /// Makes an account whose address counts as verified.
    typealias Vouch = @Sendable (DemoAccounts.Account) async throws -> Void

    private let client: DemoClient
    private let vouch: Vouch?
    private let journal: DemoJournal
    private let progress: ProgressBar

    /// - Parameter vouch: nil where accounts are kept by another process. Nobody works at the doors then: roles are for verified addresses.
    init(journal: DemoJournal, vouch: Vouch?, call: @escaping DemoCall) {
        client = DemoClient(call)
        self.vouch = vouch
        self.journal = journal
        let events = DemoCatalogue.organizers.flatMap { $0.venues.flatMap(\.events) }
        progress = ProgressBar(total: events.count + DemoPurchase.count)
    }

    func load() async throws {
        guard !journal.isComplete else { return }
        defer { progress.end() }
        progress.phase("events")
        let base = try await once("base", Instant.self) { .now }
        var offers: [DemoEvent] = []
        _ = try await token(of: DemoAccounts.buyer)
        if let vouch {
            _ = try await once("account \(DemoAccounts.door.email)", String.self) {
                try await vouch(DemoAccounts.door)
                return "made"
            }
        }
        for organizer in DemoCatalogue.organizers { offers += try await load(organizer, from: base) }
        progress.phase("orders")
        for number in 0..<DemoPurchase.count {
            let purchase = DemoPurchase(number: number, events: offers.map(\.event))
            _ = try await once("purchase \(number)", String.self) { try await buy(purchase, offers[purchase.event]) }
            progress.step()
        }
        journal.record(DemoJournal.end, "\(Instant.now)")
    }

    /// What is there by this name, or is made now. Ends the load when the process is asked to stop.
    private func once<ID: LosslessStringConvertible>(
        _ name: String, _ type: ID.Type = ID.self, _ make: () async throws -> ID
    ) async throws -> ID {
        if let known = journal[name].flatMap({ ID($0) }) { return known }
        if Task.isShuttingDownGracefully { throw CancellationError() }
        let id = try await make()
        journal.record(name, id.description)
        return id
    }

    // MARK: Accounts and offers

    private func token(of account: DemoAccounts.Account) async throws -> String {
        _ = try await once("account \(account.email)", String.self) {
            do {
                let answer: RegistrationAnswer = try await client.send(
                    AuthenticationRoutes.register,
                    body: Registration(
                        email: account.email, password: DemoAccounts.password, name: account.name, locale: account.locale))
                return "\(answer.user.id)"
            } catch let refusal as DemoClient.Refusal where refusal.problem?.code == "email-taken" {
                return "there"
            }
        }
        let session: Session = try await client.send(
            AuthenticationRoutes.login, body: Credentials(email: account.email, password: DemoAccounts.password))
        return session.accessToken
    }

    private func load(_ organizer: DemoCatalogue.Organizer, from base: Instant) async throws -> [DemoEvent] {
        let token = try await token(of: organizer.owner)
        let id = try await once("organizer \(organizer.name)", OrganizerID.self) {
            let made: Organizer = try await client.send(
                EventManagerRoutes.createOrganizer, token: token, key: key("organizer", organizer.name),
                body: NewOrganizer(name: organizer.name, email: organizer.owner.email))
            return made.id
        }
        if vouch != nil {
            _ = try await once("door of \(organizer.name)", String.self) {
                let _: Member = try await client.send(
                    AuthenticationRoutes.addMember, ["\(id)"], token: token, key: key("door", organizer.name),
                    body: NewMember(email: DemoAccounts.door.email, role: .door))
                return "there"
            }
        }
        for coupon in organizer.coupons {
            _ = try await once("coupon \(coupon.code)", CouponID.self) {
                let made: Coupon = try await client.send(
                    CouponManagerRoutes.createCoupon, token: token, key: key("coupon", coupon.code),
                    body: NewCoupon(
                        organizerId: id, code: coupon.code, name: coupon.name,
                        discount: Discount(percent: coupon.percent, amount: coupon.amount.map { Money($0, .eur) }),
                        maxRedemptions: coupon.maxRedemptions, validUntil: base + .days(200)))
                return made.id
            }
        }
        var events: [DemoEvent] = []
        for venue in organizer.venues {
            let venueID = try await once("venue \(venue.name)", VenueID.self) {
                let made: Venue = try await client.send(
                    EventManagerRoutes.createVenue, token: token, key: key("venue", venue.name),
                    body: NewVenue(
                        organizerId: id, name: venue.name, street: venue.street, city: venue.city, country: venue.country))
                return made.id
            }
            for event in venue.events {
                events.append(
                    try await load(
                        event, at: venue, venueID, of: id, coupons: organizer.coupons.map(\.code), token: token, from: base))
                progress.step()
            }
        }
        return events
    }

    private func load(
        _ event: DemoCatalogue.Event, at venue: DemoCatalogue.Venue, _ venueID: VenueID, of organizer: OrganizerID,
        coupons: [String], token: String, from base: Instant
    ) async throws -> DemoEvent {
        let day = "\(base + .days(event.daysAhead))".prefix(10)
        let id = try await once("event \(event.name)", EventID.self) {
            let made: Event = try await client.send(
                EventManagerRoutes.createEvent, token: token, key: key("event", event.name),
                body: NewEvent(
                    organizerId: organizer, name: event.name, summary: event.summary,
                    description: "**\(event.name)** at \(venue.name), \(venue.city).\n\n\(event.summary)",
                    startsAt: "\(day)T\(event.time):00", timeZone: venue.timeZone, venueId: venueID, currency: venue.currency,
                    ageRestriction: event.ageRestriction,
                    refundPolicy: RefundPolicy(until: base + .days(event.daysAhead - 2), feesRefunded: false)))
            return made.id
        }
        let offer = DemoOffer(event.kind)
        var pools: [String: PoolID] = [:]
        for (name, capacity) in offer.pools {
            pools[name] = try await once("pool \(event.name): \(name)", PoolID.self) {
                let made: Pool = try await client.send(
                    TicketManagerRoutes.createPool, ["\(id)"], token: token, key: key("pool", event.name, name),
                    body: NewPool(name: name, capacity: capacity))
                return made.id
            }
        }
        var types: [TicketTypeID] = []
        for type in offer.types {
            types.append(
                try await once("ticket type \(event.name): \(type.name)", TicketTypeID.self) {
                    let made: TicketType = try await client.send(
                        TicketManagerRoutes.createTicketType, ["\(id)"], token: token, key: key("type", event.name, type.name),
                        body: NewTicketType(
                            name: type.name, description: type.description, price: Money(type.price, venue.currency),
                            poolIds: type.pools.compactMap { pools[$0] }, maxPerOrder: type.maxPerOrder, taxRate: venue.taxRate,
                            fee: type.fee, feeIncluded: type.fee == 0))
                    return made.id
                })
        }
        _ = try await once("published \(event.name)", String.self) {
            let published: Event = try await client.send(EventManagerRoutes.publishEvent, ["\(id)"], token: token)
            return published.state.rawValue
        }
        return DemoEvent(event: event, offer: offer, id: id, types: types, currency: venue.currency, coupons: coupons)
    }

    /// Keys hold printable ASCII only.
    private func key(_ parts: String...) -> String {
        "demo-" + parts.joined(separator: "-").percentEncoded()
    }

    // MARK: Orders

    /// The order's id, or why there is none.
    private func buy(_ purchase: DemoPurchase, _ event: DemoEvent) async throws -> String {
        do {
            let type = event.type(for: purchase.choice)
            let cart: Cart = try await client.send(SalesManagerRoutes.createCart, body: NewCart(eventId: event.id))
            let secret = ["X-Cart-Token": cart.token ?? ""]
            let _: Cart = try await client.send(
                SalesManagerRoutes.addLine, ["\(cart.id)"], key: key("line", "\(purchase.number)"), headers: secret,
                body: NewCartLine(ticketTypeId: type.id, quantity: min(purchase.quantity, type.maxPerOrder)))
            if purchase.usesCoupon, let code = event.coupon(for: purchase.choice) {
                let _: Cart = try await client.send(
                    SalesManagerRoutes.setCoupon, ["\(cart.id)"], key: key("coupon", "\(purchase.number)"), headers: secret,
                    body: CouponEntry(code: code))
            }
            let method = purchase.payment == .succeeds ? "4242424242424242" : "4000000000000002"
            let answer: CheckoutAnswer = try await client.send(
                SalesManagerRoutes.checkout, ["\(cart.id)"], key: key("checkout", "\(purchase.number)"), headers: secret,
                body: CheckoutRequest(
                    buyer: Buyer(email: purchase.buyer.email, name: purchase.buyer.name, locale: purchase.buyer.locale),
                    payment: PaymentChoice(provider: "sandbox", method: method)))
            if purchase.payment == .succeedsAtSecondTry, let payment = answer.payment {
                let _: Payment = try await client.send(
                    PaymentProcessingRoutes.createAttempt, ["\(payment.id)"], key: key("attempt", "\(purchase.number)"),
                    headers: ["X-Order-Token": answer.orderToken], body: PaymentChoice(provider: "sandbox", method: "4242424242424242"))
            }
            return "\(answer.order.id)"
        } catch let refusal as DemoClient.Refusal where [409, 422].contains(refusal.status) {
            // Sold out, or a coupon that does not apply: that happens in life as well.
            return refusal.problem?.code ?? "refused"
        }
    }
}

/// An event of the catalogue as it was made.
private struct DemoEvent: Sendable {
    let event: DemoCatalogue.Event
    let offer: DemoOffer
    let id: EventID
    let types: [TicketTypeID]
    let currency: Currency
    let coupons: [String]

    /// - Parameter choice: 0 to 99.
    func type(for choice: Int) -> (id: TicketTypeID, maxPerOrder: Int64) {
        var rest = choice
        for (index, type) in offer.types.enumerated() {
            if rest < type.share { return (types[index], type.maxPerOrder) }
            rest -= type.share
        }
        return (types[0], offer.types[0].maxPerOrder)
    }

    func coupon(for choice: Int) -> String? {
        coupons.isEmpty ? nil : coupons[choice % coupons.count]
    }
}

/// The pools and ticket types by which a kind of event is sold.
struct DemoOffer: Sendable {
    struct TicketType: Sendable {
        let name: String
        var description: String?
        let price: Int64
        /// Names of pools: one ticket takes a place from each.
        let pools: [String]
        var maxPerOrder: Int64 = 10
        /// Paid on top of the price, per ticket.
        var fee: Int64 = 0
        /// Of a hundred orders.
        let share: Int
    }

    let pools: [(name: String, capacity: Int64)]
    let types: [TicketType]

    init(_ kind: DemoCatalogue.Kind) {
        switch kind {
        case .concert(let price, let standing, let balcony):
            pools = [("Floor", standing), ("Balcony", balcony), ("First hundred", 100), ("Backstage", 20)]
            types = [
                TicketType(
                    name: "Early bird", description: "Standing, for the first hundred.", price: price * 4 / 5,
                    pools: ["Floor", "First hundred"], maxPerOrder: 4, fee: price / 40, share: 30),
                TicketType(name: "Standing", price: price, pools: ["Floor"], fee: price / 40, share: 45),
                TicketType(name: "Balcony", description: "Seated.", price: price * 3 / 2, pools: ["Balcony"], fee: price / 40, share: 20),
                TicketType(
                    name: "Backstage", description: "Balcony seat, and a look behind the curtain.", price: price * 3,
                    pools: ["Balcony", "Backstage"], maxPerOrder: 2, fee: price / 40, share: 5),
            ]
        case .stage(let price, let stalls, let circle):
            pools = [("Stalls", stalls), ("Circle", circle)]
            types = [
                TicketType(name: "Stalls", price: price * 5 / 4, pools: ["Stalls"], share: 50),
                TicketType(name: "Circle", price: price, pools: ["Circle"], share: 30),
                TicketType(
                    name: "Students", description: "Stalls; bring a proof.", price: price * 3 / 5, pools: ["Stalls"],
                    maxPerOrder: 2, share: 20),
            ]
        case .conference(let price, let seats):
            pools = [("Seats", seats)]
            types = [
                TicketType(name: "Regular", description: "With lunch.", price: price, pools: ["Seats"], share: 70),
                TicketType(name: "Students", price: price / 3, pools: ["Seats"], maxPerOrder: 1, share: 30),
            ]
        case .workshop(let price, let places):
            pools = [("Places", places)]
            types = [
                TicketType(
                    name: "Participant", description: "Material included.", price: price, pools: ["Places"], maxPerOrder: 4,
                    share: 80),
                TicketType(
                    name: "Supporter", description: "Pays a place for somebody who cannot.", price: price * 2, pools: ["Places"],
                    maxPerOrder: 2, share: 20),
            ]
        case .free(let places):
            pools = [("Places", places)]
            types = [
                TicketType(name: "Admission", price: 0, pools: ["Places"], maxPerOrder: 4, share: 85),
                TicketType(name: "Admission with a donation", price: 500, pools: ["Places"], share: 15),
            ]
        }
    }
}

/// One purchase of the demonstration, decided by its number alone, so that a load that goes on does the same.
struct DemoPurchase: Sendable {
    enum Payment: Sendable {
        case succeeds
        /// The first card is declined, the second is not.
        case succeedsAtSecondTry
        case isAbandoned
    }

    let number: Int
    /// Into the events in the order of the catalogue.
    let event: Int
    /// A number from 0 to 99, by which a ticket type is chosen.
    let choice: Int
    let quantity: Int64
    let buyer: DemoAccounts.Account
    let usesCoupon: Bool
    let payment: Payment

    static let count = 300

    init(number: Int, events: [DemoCatalogue.Event]) {
        var random = Steady(seed: UInt64(number))
        self.number = number
        var rest = random.next(below: events.reduce(0) { $0 + $1.popularity })
        var event = 0
        while rest >= events[event].popularity {
            rest -= events[event].popularity
            event += 1
        }
        self.event = event
        choice = random.next(below: 100)
        quantity = [1, 1, 2, 2, 2, 2, 3, 4][random.next(below: 8)]
        let first = DemoPurchase.firstNames[random.next(below: DemoPurchase.firstNames.count)]
        let last = DemoPurchase.lastNames[random.next(below: DemoPurchase.lastNames.count)]
        let locale = ["en", "de", "fr", "nl", "cs", "pl", "pt"][random.next(below: 7)]
        buyer = DemoAccounts.Account(
            email: "\(first.lowercased()).\(last.lowercased())@buyers.example", name: "\(first) \(last)", locale: locale)
        usesCoupon = random.next(below: 6) == 0
        payment =
            switch random.next(below: 30) {
            case 0: .isAbandoned
            case 1: .succeedsAtSecondTry
            default: .succeeds
            }
    }

    private static let firstNames = [
        "Anna", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Hugo", "Ida", "Jonas", "Karla", "Leon", "Marta", "Niels",
        "Olga", "Pavel", "Quirin", "Rosa", "Simon", "Tereza", "Ulla", "Victor", "Wanda", "Xenia", "Yann", "Zofia",
    ]
    private static let lastNames = [
        "Almeida", "Bakker", "Costa", "Dubois", "Eder", "Fischer", "Garcia", "Horvath", "Ivanova", "Jansen", "Kowalski",
        "Lehmann", "Moreau", "Novak", "Oliveira", "Peeters", "Richter", "Santos", "Tanaka", "Urban", "Vogel", "Weber",
    ]
}

/// The same numbers at every run (SplitMix64).
struct Steady {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 0x1234_5678
    }

    mutating func next(below limit: Int) -> Int {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return Int((z ^ (z >> 31)) % UInt64(limit))
    }
}

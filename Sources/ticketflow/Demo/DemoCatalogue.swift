import Values

/// What the demonstration offers: four organizers, six venues, twenty-four events.
enum DemoCatalogue {
    struct Organizer: Sendable {
        let name: String
        let owner: DemoAccounts.Account
        let venues: [Venue]
        let coupons: [Coupon]
    }

    struct Venue: Sendable {
        let name: String
        let street: String
        let city: String
        let country: String
        let timeZone: String
        let currency: Currency
        /// In basis points, contained in prices.
        let taxRate: Int64
        let events: [Event]
    }

    struct Event: Sendable {
        let name: String
        let summary: String
        let kind: Kind
        /// From the day of loading, and the local time.
        let daysAhead: Int64
        let time: String
        var ageRestriction: Int?
        /// How many orders it gets, in proportion to others.
        let popularity: Int
    }

    /// What is sold, with the price of the plainest ticket in minor units and the number of places.
    enum Kind: Sendable {
        case concert(price: Int64, standing: Int64, balcony: Int64)
        case stage(price: Int64, stalls: Int64, circle: Int64)
        case conference(price: Int64, seats: Int64)
        case workshop(price: Int64, places: Int64)
        case free(places: Int64)
    }

    /// One of the two.
    struct Coupon: Sendable {
        let code: String
        let name: String
        var percent: Int64?
        var amount: Int64?
        var maxRedemptions: Int64?
    }

    static let organizers = [
        Organizer(
            name: "Nordlicht Konzerte", owner: .init(email: "nora@nordlicht.example", name: "Nora Lindqvist", locale: "de"),
            venues: [spreehalle, donaubuehne],
            coupons: [
                Coupon(code: "FRUEH10", name: "Early birds", percent: 10, maxRedemptions: 200),
                Coupon(code: "FREUNDE5", name: "Friends of the house", amount: 500),
            ]),
        Organizer(
            name: "Grachten Cultuur", owner: .init(email: "joost@grachten.example", name: "Joost de Vries", locale: "nl"),
            venues: [grachtzaal],
            coupons: [
                Coupon(code: "VOORDEEL15", name: "Season's offer", percent: 15, maxRedemptions: 50),
                Coupon(code: "TIENTJE", name: "Ten off", amount: 1_000, maxRedemptions: 40),
            ]),
        Organizer(
            name: "Divadlo a Hudba", owner: .init(email: "eliska@divadlo.example", name: "Eliška Nováková", locale: "cs"),
            venues: [palacVltava, staraPapiernia],
            coupons: [
                Coupon(code: "STUDENT20", name: "Students", percent: 20),
                Coupon(code: "PREMIERA", name: "First nights", percent: 5, maxRedemptions: 100),
            ]),
        Organizer(
            name: "Palcos do Tejo", owner: .init(email: "ines@tejo.example", name: "Inês Carvalho", locale: "pt"),
            venues: [teatroDoTejo],
            coupons: [
                Coupon(code: "AMIGOS10", name: "Friends", percent: 10),
                Coupon(code: "LISBOA5", name: "Neighbours", amount: 500, maxRedemptions: 60),
            ]),
    ]

    private static let spreehalle = Venue(
        name: "Spreehalle", street: "Uferstraße 12", city: "Berlin", country: "DE", timeZone: "Europe/Berlin", currency: .eur,
        taxRate: 700,
        events: [
            Event(
                name: "Klangwerk: Lichtjahre Tour", summary: "Electronic songs under a ceiling of lamps.",
                kind: .concert(price: 4_200, standing: 900, balcony: 180), daysAhead: 18, time: "20:00", popularity: 30),
            Event(
                name: "Hanna Petersen Trio", summary: "Jazz between Hamburg and Havana.",
                kind: .stage(price: 2_800, stalls: 220, circle: 90), daysAhead: 33, time: "19:30", popularity: 10),
            Event(
                name: "Nacht der Synthesizer", summary: "Eight machines, six hours, one floor.",
                kind: .concert(price: 3_500, standing: 700, balcony: 100), daysAhead: 47, time: "22:00", ageRestriction: 18,
                popularity: 16),
            Event(
                name: "Swift on the Spree", summary: "A day for people who write servers.",
                kind: .conference(price: 24_900, seats: 260), daysAhead: 61, time: "09:00", popularity: 12),
            Event(
                name: "Der kleine Wassermann", summary: "Puppets for everybody from four.",
                kind: .stage(price: 1_200, stalls: 160, circle: 60), daysAhead: 26, time: "15:00", popularity: 9),
        ])

    private static let donaubuehne = Venue(
        name: "Donaubühne", street: "Am Kanal 3", city: "Wien", country: "AT", timeZone: "Europe/Vienna", currency: .eur,
        taxRate: 1_300,
        events: [
            Event(
                name: "Wiener Walzer Neu", summary: "Strauss, taken apart and put together again.",
                kind: .stage(price: 3_900, stalls: 320, circle: 140), daysAhead: 24, time: "19:00", popularity: 14),
            Event(
                name: "Lisl & die Lawine", summary: "Dialect punk, loud and polite.",
                kind: .concert(price: 2_600, standing: 500, balcony: 80), daysAhead: 40, time: "20:30", popularity: 11),
            Event(
                name: "Kaffeehaus-Kabarett", summary: "Four tables, one piano, no mercy.",
                kind: .stage(price: 2_200, stalls: 120, circle: 40), daysAhead: 12, time: "19:30", popularity: 8),
            Event(
                name: "Bread at Home", summary: "Sourdough from starter to crust in one afternoon.",
                kind: .workshop(price: 8_500, places: 18), daysAhead: 15, time: "13:00", popularity: 4),
        ])

    private static let grachtzaal = Venue(
        name: "De Grachtzaal", street: "Keizersgracht 871", city: "Amsterdam", country: "NL", timeZone: "Europe/Amsterdam",
        currency: .eur, taxRate: 900,
        events: [
            Event(
                name: "Tulp & Donder", summary: "The loudest brass band of the low lands.",
                kind: .concert(price: 3_100, standing: 600, balcony: 120), daysAhead: 21, time: "20:30", popularity: 18),
            Event(
                name: "Nachtfilm: Metropolis with live orchestra", summary: "Lang's film, forty musicians.",
                kind: .stage(price: 3_400, stalls: 280, circle: 120), daysAhead: 36, time: "20:00", popularity: 13),
            Event(
                name: "Design Systems Day", summary: "Talks about things that fit together.",
                kind: .conference(price: 19_500, seats: 200), daysAhead: 74, time: "09:30", popularity: 7),
            Event(
                name: "Fiets: a documentary and a debate", summary: "How a city learned to ride.",
                kind: .free(places: 150), daysAhead: 9, time: "19:00", popularity: 8),
        ])

    private static let palacVltava = Venue(
        name: "Palác Vltava", street: "Na Nábřeží 44", city: "Praha", country: "CZ", timeZone: "Europe/Prague",
        currency: Currency("CZK") ?? .eur, taxRate: 1_200,
        events: [
            Event(
                name: "Rusalka", summary: "Dvořák's mermaid, staged in water.",
                kind: .stage(price: 89_000, stalls: 380, circle: 200), daysAhead: 29, time: "19:00", popularity: 15),
            Event(
                name: "Modrá Noc", summary: "Blues from both banks of the river.",
                kind: .concert(price: 55_000, standing: 450, balcony: 90), daysAhead: 43, time: "20:00", popularity: 9),
            Event(
                name: "Loutky po setmění", summary: "Puppets that children must not see.",
                kind: .stage(price: 42_000, stalls: 140, circle: 50), daysAhead: 52, time: "21:30", ageRestriction: 16,
                popularity: 6),
        ])

    private static let staraPapiernia = Venue(
        name: "Stara Papiernia", street: "ul. Młyńska 7", city: "Kraków", country: "PL", timeZone: "Europe/Warsaw",
        currency: Currency("PLN") ?? .eur, taxRate: 800,
        events: [
            Event(
                name: "Zorza", summary: "Choir and drum machine.",
                kind: .concert(price: 11_900, standing: 520, balcony: 110), daysAhead: 31, time: "20:00", popularity: 12),
            Event(
                name: "Chopin po północy", summary: "The nocturnes, at the hour they are named after.",
                kind: .stage(price: 14_500, stalls: 160, circle: 70), daysAhead: 55, time: "23:59", popularity: 7),
            Event(
                name: "Drukarnia: letterpress by hand", summary: "Set a page, print a page, take it home.",
                kind: .workshop(price: 22_000, places: 14), daysAhead: 20, time: "11:00", popularity: 3),
        ])

    private static let teatroDoTejo = Venue(
        name: "Teatro do Tejo", street: "Rua da Ribeira 19", city: "Lisboa", country: "PT", timeZone: "Europe/Lisbon",
        currency: .eur, taxRate: 600,
        events: [
            Event(
                name: "Fado à Janela", summary: "Three voices, two guitars, an open window.",
                kind: .stage(price: 2_700, stalls: 240, circle: 110), daysAhead: 16, time: "21:00", popularity: 17),
            Event(
                name: "Maré Cheia Festival", summary: "Two stages by the river, from noon on.",
                kind: .concert(price: 5_900, standing: 1_500, balcony: 200), daysAhead: 88, time: "12:00", popularity: 26),
            Event(
                name: "Os Maias, a novel in one evening", summary: "Eça de Queirós for six actors.",
                kind: .stage(price: 2_300, stalls: 200, circle: 90), daysAhead: 38, time: "20:30", popularity: 7),
            Event(
                name: "Atlantic Makers' Fair", summary: "Robots, radios and things that nearly work.",
                kind: .conference(price: 3_500, seats: 400), daysAhead: 66, time: "10:00", popularity: 9),
            Event(
                name: "Azulejo: paint a tile", summary: "One tile, two colours, fired overnight.",
                kind: .workshop(price: 6_500, places: 20), daysAhead: 13, time: "14:30", popularity: 4),
        ])
}

import Firewall
import Foundation

/// What buyers, organizers and door teams send, as browsers and programs send it.
struct BenignRequests {
    private static let agents = [
        "curl/8.5.0", "okhttp/4.12.0", "TicketFlow/1.0", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36",
        "python-requests/2.32.3", "Dalvik/2.1.0 (Linux; U; Android 14)", "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)",
        "Go-http-client/1.1",
    ]
    private static let accepts = [
        "*/*", "application/json", "application/json, text/plain, */*", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    ]
    private static let languages = ["en-US,en;q=0.9", "de-AT,de;q=0.9,en;q=0.8", "fr", "uk-UA,uk;q=0.9", "*"]
    private static let first = [
        "Grace", "Ada", "Alan", "Maria", "Jean-Luc", "Anna Lena", "Olga", "Kim", "Mehmet", "Fatima", "John", "Sue", "Peter", "Ines", "Noah",
        "Mia",
    ]
    private static let last = [
        "Hopper", "Lovelace", "Turing", "Garcia", "Schmidt", "Novak", "Smith", "Lee", "Hansen", "Rossi", "Kowalski", "Dupont", "Tanaka",
        "Silva", "Walter",
    ]
    private static let rareNames = [
        "O'Brien", "D'Angelo", "Müller", "Łukasz Wójcik", "Zoë", "Юлия Смирнова", "Олександр Шевченко", "李小龍", "Nguyễn Văn An",
        "Anne & Tom",
        "Dr. med. Hans (jun.)", "Will Grant", "🎉 Kim", "Mary Union", "Björn Å. Öst", "Мария Иванова-Петрова",
    ]
    private static let titles = BenignText.lines
    private var number = 0

    mutating func next(_ random: inout SeededNumbers) -> WebRequest {
        number += 1
        let (method, path, body) = call(&random)
        var fields = [(name: "host", value: Int.random(in: 0..<4, using: &random) == 0 ? "127.0.0.1:8080" : "tickets.example.org")]
        fields.append((name: "user-agent", value: one(of: BenignRequests.agents, &random)))
        fields.append((name: "accept", value: one(of: BenignRequests.accepts, &random)))
        if Bool.random(using: &random) {
            fields.append((name: "accept-language", value: one(of: BenignRequests.languages, &random)))
            fields.append((name: "accept-encoding", value: "gzip, deflate, br, zstd"))
            fields.append((name: "sec-fetch-mode", value: "cors"))
            fields.append((name: "sec-fetch-site", value: "same-origin"))
            fields.append((name: "referer", value: "https://tickets.example.org/shop/\(id("event", &random))"))
        }
        if method != "GET" { fields.append((name: "idempotency-key", value: UUID(&random).uuidString.lowercased())) }
        if path.contains("/carts/") { fields.append((name: "x-cart-token", value: secret(&random))) }
        if path.contains("/orders/") { fields.append((name: "x-order-token", value: secret(&random))) }
        if method == "PATCH" { fields.append((name: "if-match", value: "\"\(Int.random(in: 1...99, using: &random))\"")) }
        if Bool.random(using: &random) {
            fields.append((name: "traceparent", value: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
        }
        if let body {
            fields.append(
                (name: "content-type", value: Bool.random(using: &random) ? "application/json" : "application/json; charset=utf-8"))
            fields.append((name: "content-length", value: "\(body.utf8.count)"))
        } else if method == "POST" {
            fields.append((name: "content-length", value: "0"))
        }
        return WebRequest(method: method, target: path, fields: fields, body: Array((body ?? "").utf8))
    }

    private func call(_ random: inout SeededNumbers) -> (String, String, String?) {
        let api = "/api/v1"
        let event = id("event", &random)
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<12: return ("GET", "\(api)/events?limit=20&country=AT&sort=startsAt", nil)
        case 12..<15: return ("GET", "\(api)/events?query=\(name(&random).replacing(" ", with: "+"))&from=2030-05-01", nil)
        case 15..<27: return ("GET", "\(api)/events/\(event)", nil)
        case 27..<37: return ("GET", "\(api)/events/\(event)/availability", nil)
        case 37..<42: return ("GET", "\(api)/events/owls-at-midnight-\(Int.random(in: 2...99, using: &random))/ticket-types", nil)
        case 42..<48: return ("GET", "\(api)/carts/\(id("cart", &random))", nil)
        case 48..<54: return ("GET", "\(api)/orders/\(id("order", &random))?token=\(secret(&random))", nil)
        case 54..<58: return ("GET", "\(api)/tickets/\(id("ticket", &random)).png", nil)
        case 58..<60: return ("GET", "\(api)/reports/revenue?organizer=\(id("org", &random))&interval=day&from=2030-05-01T00:00:00Z", nil)
        case 60..<66: return ("POST", "\(api)/carts", "{\"eventId\": \"\(event)\"}")
        case 66..<73:
            return (
                "POST", "\(api)/carts/\(id("cart", &random))/lines",
                "{\"ticketTypeId\":\"\(id("type", &random))\",\"quantity\":\(Int.random(in: 1...9, using: &random))}"
            )
        case 73..<75:
            return ("PUT", "\(api)/carts/\(id("cart", &random))/coupon", "{\"code\": \"OWL\(Int.random(in: 5...95, using: &random))\"}")
        case 75..<81:
            return (
                "POST", "\(api)/carts/\(id("cart", &random))/checkout",
                """
                {
                  "buyer": {"email": "\(mail(&random))", "name": \(name(&random).quoted), "locale": "de-AT"},
                  "payment": {"provider": "sandbox", "method": "4242424242424242"}
                }
                """
            )
        case 81..<84: return ("POST", "\(api)/auth/login", "{\"email\": \"\(mail(&random))\", \"password\": \"horse-battery-\(number)\"}")
        case 84..<85:
            return (
                "POST", "\(api)/auth/register",
                "{\"email\": \"\(mail(&random))\", \"password\": \"horse-battery-\(number)\", \"name\": \(name(&random).quoted)}"
            )
        case 85..<94:
            return (
                "POST", "\(api)/events/\(event)/check-ins",
                "{\"code\": \"TF1\(String((0..<150).map { _ in Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ").randomElement(using: &random) ?? "0" }))\", \"nonce\": \"\(UUID(&random).uuidString)\", \"gate\": \"North\"}"
            )
        case 94..<95:
            return (
                "POST", "\(api)/events",
                """
                {"organizerId": "\(id("org", &random))", "name": \(one(of: BenignRequests.titles, &random).quoted), "currency": "EUR",
                 "startsAt": "2030-05-04T23:30:00", "timeZone": "Europe/Berlin", "description": \(one(of: BenignRequests.titles, &random).quoted)}
                """
            )
        case 95..<97:
            return ("PATCH", "\(api)/pools/\(id("pool", &random))", "{\"capacity\": \(Int.random(in: 1...9_000, using: &random))}")
        case 97..<98: return ("POST", "\(api)/events/\(event)/publish", nil)
        case 98..<99: return ("DELETE", "\(api)/carts/\(id("cart", &random))", nil)
        default:
            return (
                "POST", "\(api)/orders/\(id("order", &random))/refunds",
                "{\"units\": [\"\(id("unit", &random))\", \"\(id("unit", &random))\"], \"reason\": \"Cannot come\"}"
            )
        }
    }

    private func one(of texts: [String], _ random: inout SeededNumbers) -> String { texts.randomElement(using: &random) ?? "" }

    private func name(_ random: inout SeededNumbers) -> String {
        Int.random(in: 0..<20, using: &random) == 0
            ? one(of: BenignRequests.rareNames, &random)
            : "\(one(of: BenignRequests.first, &random)) \(one(of: BenignRequests.last, &random))"
    }

    private func mail(_ random: inout SeededNumbers) -> String {
        let names = ["grace", "ada.lovelace", "info", "kim_99", "j-smith", "time", "mail", "maria.rossi", "peter1980"]
        return
            "\(one(of: names, &random))\(Int.random(in: 0..<20, using: &random) == 0 ? "+tag" : "")@\(one(of: ["example.org", "mail.example.com"], &random))"
    }

    private func id(_ prefix: String, _ random: inout SeededNumbers) -> String {
        let digits = Array("0123456789abcdefghjkmnpqrstvwxyz")
        return "\(prefix)_01" + String((0..<24).map { _ in digits.randomElement(using: &random) ?? "0" })
    }

    private func secret(_ random: inout SeededNumbers) -> String {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
        return String((0..<22).map { _ in digits.randomElement(using: &random) ?? "0" })
    }
}

extension UUID {
    fileprivate init(_ random: inout SeededNumbers) {
        let (a, b) = (random.next(), random.next())
        func byte(_ number: UInt64, _ place: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: number >> (8 * place)) }
        self.init(
            uuid: (
                byte(a, 0), byte(a, 1), byte(a, 2), byte(a, 3), byte(a, 4), byte(a, 5), byte(a, 6), byte(a, 7), byte(b, 0), byte(b, 1),
                byte(b, 2), byte(b, 3), byte(b, 4), byte(b, 5), byte(b, 6), byte(b, 7)
            ))
    }
}

/// What organizers call their events, and write about them.
enum BenignText {
    static let lines = [
        "Drop the Bass; select your seat -- now!", "O'Brien", "Rock 'n' Roll", "O'Neill & Sons", "Jazz & Blues: Select Artists",
        "Union Station - Select Seats", "Time Machine", "time machine", "python for beginners", "ping pong tournament", "head over heels",
        "Having fun; or not", "More fire", "find yourself", "Order by Chaos", "Nuit Blanche à Paris", "Ночь в опере", "🎉 Party 🎉",
        "It's 5 o'clock somewhere", "1 or 2 tickets", "20% off & more", "Doors open at 7pm; show starts at 8.", "\"Quoted\" title",
        "Ticket (standing)", "Table #4", "C++ meetup", "SQL injection workshop", "SELECT * FROM night", "HTTP/2 meetup", "PHP Conf. 2030",
        "Node.js night", "Please don't bring bottles - or glasses", "-- The End --", "if not now, when", "Who's next?",
        "Walter (the second)",
        "Alter Ego: update 2.0", "Insert coin to play", "European Union will select artists from Austria", "'Til Death",
        "Cats, dogs & friends",
        "Line up: Owl, Cat and the Mice", "What if? Science fiction", "Event by the \"Night Owls\" on June 5", "Set fire to the rain; live",
        "Price = 20 EUR", "Größe & Höhe", "Live @ the Hall", "Let's go!", "90's night; 80's too", "A|B Test Night", "File under rock?",
        "Wein; Weib & Gesang",
    ]
}

import NIOCore

/// Buys again and again: a cart, a line, the checkout with a card of the sandbox, until the order is paid and its tickets are there.
struct Buyer: Script {
    private enum State {
        case idle
        case cart
        case line(cart: String, token: String)
        case checkout
        case order(id: String, token: String)
    }

    private let offer: Offer
    private let name: String
    private let quantity: Int
    /// Nil for as long as the load lasts.
    private let orders: Int?
    /// Whether it ends at the first answer that everything is sold.
    private let untilSoldOut: Bool
    private let keepsCodes: Bool
    private let newCart: Request
    private let line: String
    private var state = State.idle
    private var requests = 0

    private(set) var paidOrders = 0
    private(set) var tickets = 0
    /// Of the tickets, where they are kept.
    private(set) var codes: [String] = []
    /// How often it had to ask again for an order that was not paid yet.
    private(set) var questions = 0

    /// - Parameter name: unique within the program's life; keys and addresses begin with it.
    init(_ offer: Offer, name: String, quantity: Int = 1, orders: Int? = nil, untilSoldOut: Bool = false, keepsCodes: Bool = false) {
        self.offer = offer
        self.name = name
        self.quantity = quantity
        self.orders = orders
        self.untilSoldOut = untilSoldOut
        self.keepsCodes = keepsCodes
        newCart = Request("POST", "/api/v1/carts", body: #"{"eventId":"\#(offer.event)"}"#)
        line = #"{"ticketTypeId":"\#(offer.ticketType)","quantity":\#(quantity)}"#
    }

    mutating func next(after answer: Answer?, _ turn: inout Turn) throws -> Step {
        guard let answer else { return resume(&turn) }
        switch state {
        case .idle: return begin(&turn)
        case .cart:
            try answer.expect(201, "POST /carts")
            let json = answer.json
            guard let id = json["id"]?.string, let token = json["token"]?.string else {
                throw Unexpected(request: "POST /carts", answer: answer)
            }
            state = .line(cart: id, token: token)
            return addLine(id, token, &turn)
        case .line(let cart, let token):
            if untilSoldOut, answer.status == 409 {
                turn.refused()
                // Others may let go of what they hold; whoever wants a ticket tries again.
                return answer.json["type"]?.string?.hasSuffix(":all-held") == true ? .pause(.milliseconds(10)) : .stop
            }
            try answer.expect(200, "POST /carts/{id}/lines")
            return checkOut(cart, token, &turn)
        case .checkout:
            try answer.expect(201, "POST /carts/{id}/checkout")
            let json = answer.json
            guard let order = json["order"], let id = order["id"]?.string, let token = json["orderToken"]?.string else {
                throw Unexpected(request: "POST /carts/{id}/checkout", answer: answer)
            }
            state = .order(id: id, token: token)
            return try look(at: order, answer, &turn)
        case .order:
            try answer.expect(200, "GET /orders/{id}")
            return try look(at: answer.json, answer, &turn)
        }
    }

    /// Begins, or goes on after a pause.
    private mutating func resume(_ turn: inout Turn) -> Step {
        switch state {
        case .line(let cart, let token): addLine(cart, token, &turn)
        case .order(let id, let token): ask(id, token, &turn)
        default: begin(&turn)
        }
    }

    private mutating func begin(_ turn: inout Turn) -> Step {
        guard turn.goesOn, orders.map({ paidOrders < $0 }) ?? true else { return .stop }
        turn.begin()
        state = .cart
        newCart.write(to: &turn.out)
        return .request
    }

    private mutating func addLine(_ cart: String, _ token: String, _ turn: inout Turn) -> Step {
        Request("POST", "/api/v1/carts/\(cart)/lines", fields: "X-Cart-Token: \(token)\r\n", body: line)
            .write(to: &turn.out, key: nextKey())
        return .request
    }

    private mutating func checkOut(_ cart: String, _ token: String, _ turn: inout Turn) -> Step {
        state = .checkout
        let key = nextKey()
        Request(
            "POST", "/api/v1/carts/\(cart)/checkout", fields: "X-Cart-Token: \(token)\r\n",
            body: """
                {"buyer":{"email":"\(key)@bench.example","name":"Bench Buyer"},\
                "payment":{"provider":"sandbox","method":"4242424242424242"}}
                """
        ).write(to: &turn.out, key: key)
        return .request
    }

    private mutating func ask(_ id: String, _ token: String, _ turn: inout Turn) -> Step {
        questions += 1
        Request("GET", "/api/v1/orders/\(id)", fields: "X-Order-Token: \(token)\r\n").write(to: &turn.out)
        return .request
    }

    private mutating func look(at order: JSONText, _ answer: Answer, _ turn: inout Turn) throws -> Step {
        let status = order["status"]?.string
        let issued = order["tickets"]?.elements ?? []
        if status == "paid", issued.count == quantity {
            turn.complete()
            paidOrders += 1
            tickets += issued.count
            if keepsCodes { codes += issued.compactMap { $0["code"]?.string } }
            return begin(&turn)
        }
        guard status == "draft" || status == "awaitingPayment" || status == "paid" else {
            throw Unexpected(request: "GET /orders/{id}", answer: answer)
        }
        return .pause(.milliseconds(2))
    }

    private mutating func nextKey() -> String {
        requests += 1
        return "\(name)-\(requests)"
    }
}

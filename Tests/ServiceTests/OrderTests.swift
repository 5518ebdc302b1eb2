import Configuration
import Contracts
import CouponManager
import Discovery
import Foundation
import HTTPTypes
import Messaging
import PaymentProcessing
import SalesManager
import ServiceKit
import Storage
import Synchronization
import Testing
import TicketManager
import Values

/// Who sees an order.
@Suite("Orders", .serialized) struct OrderAccessTests {
    @Test func `an order is its buyer's and its organizer's, and to everybody else it does not exist`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(5)
            let (bought, other) = (try await house.buy(type), try await house.buy(type))
            let path = "/api/v1/orders/\(bought.order.id)"
            let calls: [(HTTPRequest.Method, String, String)] = [
                (.get, path, ""), (.post, "\(path)/cancel", ""), (.post, "\(path)/refunds", #"{"reason":"x"}"#),
            ]
            let unverified = TestCaller.user(UserID(), email: "ada@example.org", verified: false)
            for (method, target, json) in calls {
                for caller in [TestCaller.nobody, house.stage.stranger, house.stage.rival, unverified, .service(.paymentProcessing)] {
                    for token in [nil, "x", other.orderToken] {
                        var headers = ["Idempotency-Key": "k"]
                        headers["X-Order-Token"] = token
                        let answer = try await house.sales.call(method, target, as: caller, headers: headers, json: json)
                        let needsUser = target.hasSuffix("refunds") && caller.userID == nil
                        #expect(answer.status == (needsUser ? 401 : 404), "\(method) \(target) as \(caller)")
                    }
                }
                for caller in [house.stage.door, house.stage.analyst] {
                    let answer = try await house.sales.call(method, target, as: caller, headers: ["Idempotency-Key": "k"], json: json)
                    #expect(answer.status == 403, "\(method) \(target)")
                }
                let missing = try await house.sales.call(
                    method, target.replacing("\(bought.order.id)", with: "\(OrderID())"), as: house.stage.rival,
                    headers: ["Idempotency-Key": "k"], json: json)
                let foreign = try await house.sales.call(
                    method, target, as: house.stage.rival, headers: ["Idempotency-Key": "k"], json: json)
                let details = try [missing, foreign].map { try $0.json(Problem.self).detail }
                #expect(missing.status == 404 && details[0] == details[1])
            }
            // A buyer refunds nobody, not even themselves.
            let buyer = TestCaller.user(UserID(), email: "ada@example.org")
            #expect(try await house.refund(bought, as: buyer).status == 404)
            #expect(try await house.show(bought).status == .paid)
            for caller in [buyer, house.stage.manager, house.stage.owner, house.stage.admin] {
                #expect(try await house.sales.call(.get, path, as: caller).status == 200)
            }
        }
    }

    @Test func `the link of a mail opens its order, and no other`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(5)
            let (bought, other) = (try await house.buy(type), try await house.buy(type))
            for (token, status) in [(bought.orderToken, 200), (other.orderToken, 404), ("", 404), ("x", 404)] {
                let answer = try await house.sales.call(.get, "/api/v1/orders/\(bought.order.id)?token=\(token.percentEncoded())")
                #expect(answer.status == status)
            }
        }
    }

    @Test func `one's orders are those of the account, and those of its address once it is verified`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(20)
            let id = UserID()
            let (verified, unverified) = (
                TestCaller.user(id, email: "Ada@Example.org"), TestCaller.user(id, email: "ada@example.org", verified: false)
            )
            let mine = try await house.buy(type, as: unverified).order.id
            let asGuest = try await house.buy(type).order.id
            _ = try await house.checkOut(try await house.fill(type), buyer: "eve@example.org")
            func list(_ caller: TestCaller) async throws -> [Order] {
                try await house.sales.call(.get, "/api/v1/orders", as: caller).json(Page<Order>.self).items
            }
            #expect(try await list(unverified).map(\.id) == [mine])
            #expect(try await list(verified).map(\.id) == [asGuest, mine])
            #expect(try await list(verified).allSatisfy { $0.tickets.isEmpty })
            #expect(try await list(house.stage.stranger).isEmpty)
            #expect(try await house.sales.call(.get, "/api/v1/orders").status == 401)
            #expect(try await house.sales.call(.get, "/api/v1/orders", as: .service(.salesManager)).status == 401)
        }
    }

    @Test func `orders come in pages, the newest first`() async throws {
        try await withHouse { house in
            let type = try await house.makeOffer(20)
            var bought: [OrderID] = []
            for _ in 0..<5 { bought.append(try await house.buy(type).order.id) }
            var seen: [OrderID] = []
            var after: String?
            repeat {
                let page = try await house.sales.call(
                    .get, "/api/v1/events/\(house.stage.event)/orders?limit=2\(after.map { "&after=\($0)" } ?? "")", as: house.stage.manager
                ).json(Page<Order>.self)
                #expect(page.items.count <= 2)
                seen += page.items.map(\.id)
                after = page.next
            } while after != nil
            #expect(seen == bought.reversed())
            for query in ["limit=0", "limit=201", "limit=-1", "limit=x", "limit=99999999999999999999", "after=x", "after=order_x"] {
                let answer = try await house.sales.call(.get, "/api/v1/orders?\(query)", as: house.stage.stranger)
                #expect(answer.status == 422, "\(query)")
            }
        }
    }

    @Test func `an event's orders are for its managers`() async throws {
        try await withHouse { house in
            _ = try await house.buy(try await house.makeOffer(5))
            let path = "/api/v1/events/\(house.stage.event)/orders"
            for (caller, status) in [
                (TestCaller.nobody, 401), (house.stage.stranger, 404), (house.stage.rival, 404), (house.stage.door, 403),
                (house.stage.analyst, 403), (house.stage.manager, 200), (house.stage.owner, 200), (house.stage.admin, 200),
            ] {
                #expect(try await house.sales.call(.get, path, as: caller).status == status)
            }
            #expect(try await house.sales.call(.get, "/api/v1/events/\(EventID())/orders", as: house.stage.manager).status == 404)
        }
    }

    @Test func `what is for services is for those with the scope alone`() async throws {
        try await withHouse { house in
            for route in SalesManagerRoutes.all {
                guard case .service = route.access else { continue }
                let path = route.path([route.path.contains("events") ? "\(EventID())" : "\(OrderID())"])
                for (caller, status) in [(TestCaller.nobody, 401), (house.stage.admin, 403), (.service(.couponManager), 403)] {
                    let answer = try await house.sales.call(route.method, path, as: caller)
                    #expect(answer.status == status, "\(path)")
                }
            }
        }
    }

    @Test func `a peer learns who is an order's buyer by secret, account or verified address`() async throws {
        try await withHouse { house in
            let id = UserID()
            let bought = try await house.buy(try await house.makeOffer(5), as: .user(id, email: "other@example.org"))
            func isBuyer(_ question: OrderAccessQuestion) async throws -> Bool {
                try await house.sales.call(
                    .post, "/internal/v1/orders/\(bought.order.id)/access", as: .service(.ticketManager), body: question
                ).json(OrderAccess.self).isBuyer
            }
            #expect(try await isBuyer(OrderAccessQuestion(orderToken: bought.orderToken)))
            #expect(try await isBuyer(OrderAccessQuestion(userId: id)))
            #expect(try await isBuyer(OrderAccessQuestion(verifiedEmail: "ADA@example.org")))
            #expect(try await !isBuyer(OrderAccessQuestion()))
            #expect(try await !isBuyer(OrderAccessQuestion(orderToken: "x", userId: UserID(), verifiedEmail: "eve@example.org")))
        }
    }
}

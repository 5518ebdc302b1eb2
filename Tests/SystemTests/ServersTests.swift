import Contracts
import Discovery
import Foundation
import TestServers
import Testing
import Values

extension WholeSystem {
    /// The same program with its state in PostgreSQL and its messages over RabbitMQ.
    @Suite struct ServersTests {
        @Test
        func `on PostgreSQL and RabbitMQ what many want at once is sold once, told to all, and outlives both and the program`() async throws
        {
            let postgres = try await PostgreSQLServer.launched()
            try await RabbitMQServer.with(alone: true) { rabbit, host in
                let settings = ["TICKETFLOW_DATABASE_URL": postgres.connectionString(), "TICKETFLOW_BROKER_URL": rabbit.url(host)]
                try await withProgram(settings) { program in
                    let shop = try await program.shop(capacity: 25)
                    let carts = try await atOnce(60) { _ in try await program.cart(for: shop.event.id) }
                    let lines = try await atOnce(60) { index in try await carts[index].add(of: shop.type.id) }
                    let winners = lines.indices.filter { lines[$0].status == 200 }
                    #expect(winners.count == 25)
                    #expect(lines.filter { $0.status != 200 }.allSatisfy { ["all-held", "sold-out"].contains($0.problem) })

                    // The first half is bought in peace, the second while neither server is there for a moment.
                    let first = try await atOnce(12) { index in try await carts[winners[index]].buy() }
                    try await rabbit.kill(host)
                    try await postgres.crash()
                    try await postgres.start()
                    let second = try await atOnce(13) { index in
                        let cart = carts[winners[12 + index]]
                        let key = UUID().uuidString
                        return try await eventually("the order is taken", within: .seconds(60)) { () -> Purchase? in
                            let answer = try await cart.checkOut(key: key)
                            return answer.status == 201 ? Purchase(try answer.json()) : nil
                        }
                    }
                    try await rabbit.start()
                    for purchase in first + second {
                        let order = try await eventually("the order is paid", within: .seconds(60)) { () -> Order? in
                            let order = try await program.order(purchase)
                            return order.status == .paid ? order : nil
                        }
                        #expect(order.tickets.count == 1)
                        #expect(try await program.ledger(purchase).movements("capture").count == 1)
                    }
                    let stock = try await shop.stock()
                    #expect(stock.sold == 25 && stock.held == 0)

                    let ids = Set((first + second).map(\.order.id.description))
                    try await eventually("each confirmation is mailed", within: .seconds(60)) {
                        try await Mail.orders(in: "\(program.data)/mail").isSuperset(of: ids)
                    }
                    let queues = try await program.command("messages", "queues")
                    #expect(queues.end == .exit(0) && queues.output.contains("notification.deliveries"), "\(queues.output)\(queues.errors)")

                    try await program.restart()
                    #expect(try await program.order(first[0]).status == .paid)
                    try await program.stop()
                    try await program.expectCleanBooks()
                }
            }
        }
    }
}

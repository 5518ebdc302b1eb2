import Testing

@testable import ticketflow_bench

@Suite struct `What is filled` {
    private let table = FilledTable("shop.cart", from: "filled_order", ["id": "cart", "state": "'ordered'"], untouched: "code")

    @Test func `a table with just these columns is filled`() {
        #expect(table.difference(to: ["id", "state", "code"]) == nil)
        #expect(table.insert == "INSERT INTO shop.cart (id, state)\nSELECT cart, 'ordered' FROM filled_order;")
    }

    @Test(arguments: [
        ("", "shop.cart is not there"),
        ("id code", "shop.cart has no state"),
        ("id state code seat", "shop.cart has seat, with which nothing is done here"),
        ("id code seat", "shop.cart has no state; shop.cart has seat, with which nothing is done here"),
    ])
    func `another table is told of, with what is different`(columns: String, difference: String) {
        #expect(table.difference(to: Set(columns.split(separator: " ").map(String.init))) == difference)
    }

    @Test func `no table is filled twice`() {
        #expect(Set(FilledTable.all.map(\.name)).count == FilledTable.all.count)
    }
}

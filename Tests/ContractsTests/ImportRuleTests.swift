import Foundation
import Testing

/// Who may import whom, one direction only: C <- Platform <- Contracts <- Services, Edge <- ticketflow.
@Suite struct ImportRuleTests {
    private let tree: SourceTree
    private let platform: Set<String>
    private let services: Set<String>
    private let edge: Set<String>
    private let c: Set<String>

    init() throws {
        tree = try SourceTree()
        platform = tree.targets(in: "Sources/Platform")
        services = tree.targets(in: "Sources/Services")
        edge = tree.targets(in: "Sources/Edge")
        c = Set(try FileManager.default.contentsOfDirectory(atPath: SourceTree.root.appending(path: "Sources/C").path))
        try #require(platform.contains("Storage") && services.count == 8 && edge.contains("BorderGateway") && c.contains("CCurl"))
    }

    @Test func `Platform imports neither Contracts nor anything above it`() {
        expectNone(of: services.union(edge).union(["Contracts", "ContractsDocuments", "ticketflow"]), under: "Sources/Platform")
    }

    @Test func `Contracts imports no service, no edge and no web framework`() {
        expectNone(of: services.union(edge).union(["ticketflow", "Hummingbird", "ServiceKit", "Storage"]), under: "Sources/Contracts")
    }

    @Test func `a service never imports another, nor the edge`() {
        for service in services {
            expectNone(of: services.subtracting([service]).union(edge).union(["ticketflow"]), under: "Sources/Services/\(service)")
        }
    }

    @Test func `the edge imports no service`() {
        for target in edge {
            expectNone(of: services.union(edge.subtracting([target])).union(["ticketflow"]), under: "Sources/Edge/\(target)")
        }
    }

    @Test func `each C library has one importer, and only Platform touches C`() {
        for library in c {
            let importers = Set(tree.files.filter { $0.imports.contains(library) }.map { $0.folders.prefix(3).joined(separator: "/") })
            #expect(importers.count == 1 && importers.allSatisfy { $0.hasPrefix("Sources/Platform/") }, "\(library): \(importers)")
        }
    }

    @Test func `GRDB stays in Storage, and the embedded documents in Contracts`() {
        let owners = ["GRDB": "Sources/Platform/Storage/", "ContractsDocuments": "Sources/Contracts/", "JWTKit": "Sources/"]
        for (module, owner) in owners {
            for file in tree.files where file.imports.contains(module) {
                #expect(file.path.hasPrefix(owner), "\(file.path) imports \(module)")
            }
        }
    }

    @Test func `Platform has no word of the trade`() {
        // Not "order", which is also English, nor "event", which is also a message.
        let trade: Set = [
            "ticket", "tickets", "coupon", "coupons", "venue", "venues", "organizer", "organizers", "attendee", "attendees",
            "checkout", "refund", "refunds", "seat", "seats", "buyer", "buyers", "voucher", "fulfilment", "inventory",
        ]
        for file in tree.files(under: "Sources/Platform") {
            let found = file.words.intersection(trade)
            #expect(found.isEmpty, "\(file.path) speaks of \(found.sorted())")
        }
    }

    private func expectNone(of modules: Set<String>, under folder: String, sourceLocation: SourceLocation = #_sourceLocation) {
        for file in tree.files(under: folder) {
            let found = modules.intersection(file.imports)
            #expect(found.isEmpty, "\(file.path) imports \(found.sorted())", sourceLocation: sourceLocation)
        }
    }
}

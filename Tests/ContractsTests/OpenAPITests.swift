import Contracts
import Discovery
import Foundation
import HTTPTypes
import Testing

@Suite struct OpenAPITests {
    private let document: OpenAPI
    private let root: [String: Any]

    init() throws {
        document = try OpenAPI.merged.get()
        root = try #require(JSONSerialization.jsonObject(with: Data(document.json)) as? [String: Any])
    }

    @Test func `every public route is described, and nothing else is`() {
        let routes = Set(
            Contracts.publicRoutes.flatMap { _, routes in routes.map { OpenAPI.Operation($0.method.rawValue, $0.path) } })
        let missing = routes.subtracting(document.operations).sorted()
        let surplus = document.operations.subtracting(routes).sorted()
        #expect(missing.isEmpty, "not described: \(missing)")
        #expect(surplus.isEmpty, "described, but there is no such route: \(surplus)")
    }

    @Test func `a route takes a key where the document asks for one`() throws {
        let paths = try #require(root["paths"] as? [String: [String: Any]])
        for route in Contracts.publicRoutes.flatMap(\.routes) {
            let operation = try #require(paths[route.path]?[route.method.rawValue.lowercased()] as? [String: Any])
            let parameters =
                (operation["parameters"] as? [[String: Any]] ?? []) + (paths[route.path]?["parameters"] as? [[String: Any]] ?? [])
            let asks = parameters.contains { $0["$ref"] as? String == "#/components/parameters/IdempotencyKey" }
            #expect(route.takesKey == asks, "\(route.method) \(route.path)")
        }
    }

    @Test func `no route of services is told`() {
        for operation in document.operations {
            #expect(!operation.path.hasPrefix("/internal/"))
            #expect(!operation.path.hasPrefix("/api/v1/holds"))
        }
    }

    @Test func `the document is OpenAPI 3.1 with title and version`() throws {
        #expect(root["openapi"] as? String == "3.1.0")
        let info = try #require(root["info"] as? [String: Any])
        #expect(info["title"] as? String == "TicketFlow")
        #expect(info["version"] as? String == "1")
    }

    @Test func `every reference leads somewhere`() {
        var dangling: Set<String> = []
        for reference in OpenAPITests.references(in: root) {
            let path = reference.split(separator: "/").dropFirst().map(String.init)
            let found = path.reduce(root as Any?) { ($0 as? [String: Any])?[$1] }
            if !reference.hasPrefix("#/components/") || found == nil { dangling.insert(reference) }
        }
        #expect(dangling.isEmpty)
    }

    @Test func `every operation says what it can answer, declares its path's parameters, and who may call it`() throws {
        let access = Dictionary(
            uniqueKeysWithValues: Contracts.publicRoutes.flatMap { _, routes in
                routes.map { (OpenAPI.Operation($0.method.rawValue, $0.path), $0.access) }
            })
        for (operation, item) in operations {
            let responses = try #require(item["responses"] as? [String: Any], "\(operation)")
            #expect(responses.keys.contains { $0.hasPrefix("2") }, "\(operation) never succeeds")
            #expect(Set(responses.keys).isSuperset(of: ["400", "413", "503"]), "\(operation) has only \(responses.keys.sorted())")
            if item["requestBody"] != nil {
                #expect(Set(responses.keys).isSuperset(of: ["415", "422"]), "\(operation) has a body but only \(responses.keys.sorted())")
            }
            let declared = parameters(of: item).filter { $0["in"] as? String == "path" }.compactMap { $0["name"] as? String }
            let used = operation.path.split(separator: "/").filter { $0.hasPrefix("{") }.map { String($0.dropFirst().dropLast()) }
            #expect(Set(declared) == Set(used), "\(operation)")
            if access[operation] == .user {
                #expect(responses["401"] != nil, "\(operation) needs a user")
                #expect(item["security"] != nil || root["security"] != nil, "\(operation) needs a user")
            }
        }
    }

    @Test func `what the gateway answers by itself is described in every operation, and what one says itself stays`() throws {
        let byGateway: Set = ["400", "403", "408", "413", "414", "415", "417", "429", "431", "502", "503", "504"]
        for (operation, item) in operations {
            let responses = try #require(item["responses"] as? [String: [String: Any]])
            #expect(byGateway.isSubset(of: responses.keys), "\(operation) lacks \(byGateway.subtracting(responses.keys).sorted())")
            for status in byGateway {
                #expect(content(of: try #require(responses[status])) == ["application/problem+json"], "\(operation) \(status)")
            }
        }
        let login = try #require(operations.first { $0.0 == OpenAPI.Operation("POST", "/api/v1/auth/login") }?.1)
        let own = try #require((login["responses"] as? [String: [String: Any]])?["429"])
        #expect(own["$ref"] == nil && own["description"] != nil, "its own words are lost: \(own)")
    }

    /// The types of a response, wherever it is described.
    private func content(of response: [String: Any]) -> [String] {
        var response = response
        if let reference = response["$ref"] as? String {
            let path = reference.split(separator: "/").dropFirst().map(String.init)
            response = path.reduce(root as Any?) { ($0 as? [String: Any])?[$1] } as? [String: Any] ?? [:]
        }
        return (response["content"] as? [String: Any] ?? [:]).keys.sorted()
    }

    private var operations: [(OpenAPI.Operation, [String: Any])] {
        (root["paths"] as? [String: [String: [String: Any]]] ?? [:]).flatMap { path, item in
            item.map { (OpenAPI.Operation($0, path), $1) }
        }
    }

    private func parameters(of operation: [String: Any]) -> [[String: Any]] {
        (operation["parameters"] as? [[String: Any]] ?? []).map { parameter in
            guard let reference = parameter["$ref"] as? String else { return parameter }
            let path = reference.split(separator: "/").dropFirst().map(String.init)
            return path.reduce(root as Any?) { ($0 as? [String: Any])?[$1] } as? [String: Any] ?? [:]
        }
    }

    private static func references(in value: Any) -> [String] {
        switch value {
        case let object as [String: Any]:
            object.flatMap { key, value in
                if key == "$ref", let text = value as? String { [text] } else { references(in: value) }
            }
        case let list as [Any]: list.flatMap(references)
        default: []
        }
    }
}

import ContractsDocuments
package import Discovery
import HTTPTypes
import Values
import Yams

/// What is told to everybody about the HTTP API: the documents of all services, merged into one.
package struct OpenAPI: Sendable {
    /// One method at one path.
    package struct Operation: Hashable, Comparable, Sendable, CustomStringConvertible {
        package let method: String
        package let path: String

        package init(_ method: String, _ path: String) {
            self.method = method.uppercased()
            self.path = path
        }

        package var description: String { "\(method) \(path)" }
        package static func < (one: Operation, other: Operation) -> Bool {
            (one.path, one.method) < (other.path, other.method)
        }
    }

    /// A mistake in the documents that are part of this program.
    package struct Mistake: Error, CustomStringConvertible {
        package let description: String
    }

    /// The document as it is served.
    package let json: [UInt8]
    package let operations: Set<Operation>

    /// Made on first use and kept.
    package static let merged = Result { try OpenAPI() }

    /// What the gateway answers by itself, whatever is asked, and what in `components.yaml` describes it.
    package static let ofGateway = [
        "400": "BadRequest", "401": "Unauthenticated", "403": "Forbidden", "408": "TooSlow", "413": "TooLarge",
        "414": "TargetTooLong", "415": "UnsupportedMediaType", "417": "ExpectationFailed", "429": "TooManyRequests", "431": "HeadTooLarge",
        "502": "BadGateway", "503": "Unavailable", "504": "TooLate",
    ]

    private static let methods: Set = ["get", "put", "post", "delete", "options", "head", "patch", "trace"]

    private init() throws {
        var paths: [String: DocumentValue] = [:]
        var sections: [String: [String: DocumentValue]] = [:]
        var root: [String: DocumentValue] = [:]
        var tags: [DocumentValue] = []
        for index in 0..<contracts_document_count() {
            let (owner, document) = try OpenAPI.load(contracts_document_at(index))
            if index == 0 { root = document }
            for (section, members) in document["components"]?.members ?? [:] {
                try sections[section, default: [:]].add(members.members, "\(owner): components/\(section)")
            }
            let operations = try OpenAPI.operations(of: document["paths"]?.members ?? [:], owner)
            guard !operations.isEmpty else { continue }
            tags.append(.object(["name": .text(owner)]))
            for (path, item) in operations {
                var merged = paths[path]?.members ?? [:]
                try merged.add(item, "\(owner): \(path)")
                paths[path] = .object(merged)
            }
        }
        root["paths"] = .object(paths)
        root["components"] = .object(sections.mapValues { .object($0) })
        root["tags"] = .list(tags)
        json = try JSON.bytes(of: DocumentValue.object(root))
        operations = Set(
            paths.flatMap { path, item in
                item.members.keys.filter(OpenAPI.methods.contains).map { Operation($0, path) }
            })
    }

    private static func load(_ document: contracts_document) throws -> (owner: String, members: [String: DocumentValue]) {
        let owner = String(cString: document.name)
        let text = String(decoding: UnsafeBufferPointer(start: document.bytes, count: document.length), as: UTF8.self)
        do {
            guard let node = try Yams.compose(yaml: text) else { throw Mistake(description: "is empty") }
            return (owner, try DocumentValue(node).members)
        } catch {
            throw Mistake(description: "\(owner): \(error)")
        }
    }

    /// Path items whose operations are grouped under their owner. What a path says for all of its methods is handed down to
    /// each, for the path may have several owners.
    private static func operations(
        of paths: [String: DocumentValue], _ owner: String
    ) throws -> [(path: String, item: [String: DocumentValue])] {
        try paths.map { path, item in
            var operations: [String: DocumentValue] = [:]
            let shared = item.members["parameters"]?.items ?? []
            for (method, operation) in item.members where methods.contains(method) {
                var operation = operation.members
                if operation["tags"] == nil { operation["tags"] = .list([.text(owner)]) }
                if !shared.isEmpty { operation["parameters"] = .list(shared + (operation["parameters"]?.items ?? [])) }
                // What an operation says itself is more exact.
                let responses = ofGateway.mapValues { DocumentValue.object(["$ref": .text("#/components/responses/\($0)")]) }
                operation["responses"] = .object(responses.merging(operation["responses"]?.members ?? [:]) { $1 })
                operations[method] = .object(operation)
            }
            if let unknown = item.members.keys.first(where: { !methods.contains($0) && $0 != "parameters" }) {
                throw Mistake(description: "\(owner): \(path) has \(unknown), which cannot be merged")
            }
            return (path, operations)
        }
    }
}

extension Contracts {
    /// What the front serves and the document describes: no route of services, none that is inside only.
    package static let publicRoutes: [(service: ServiceName, routes: [Route])] = routes.map { service, routes in
        (
            service,
            routes.filter { route in
                if case .service = route.access { return false }
                return !route.path.hasPrefix("/internal/")
            }
        )
    }
}

extension [String: DocumentValue] {
    fileprivate mutating func add(_ others: [String: DocumentValue], _ place: String) throws {
        for (name, value) in others {
            guard updateValue(value, forKey: name) == nil else {
                throw OpenAPI.Mistake(description: "\(place)/\(name) is there twice")
            }
        }
    }
}

/// YAML on its way to JSON.
private indirect enum DocumentValue: Encodable, Sendable {
    case object([String: DocumentValue])
    case list([DocumentValue])
    case text(String)
    case number(Double)
    case integer(Int64)
    case boolean(Bool)
    case null

    var members: [String: DocumentValue] { if case .object(let members) = self { members } else { [:] } }
    var items: [DocumentValue] { if case .list(let items) = self { items } else { [] } }

    init(_ node: Node) throws {
        switch node {
        case .mapping(let mapping):
            var members: [String: DocumentValue] = [:]
            for (key, value) in mapping {
                guard case .scalar(let name) = key else { throw OpenAPI.Mistake(description: "a key that is no text") }
                members[name.string] = try DocumentValue(value)
            }
            self = .object(members)
        case .sequence(let sequence):
            self = .list(try sequence.map { try DocumentValue($0) })
        case .scalar(let scalar):
            self.init(scalar.string, tag: Tag.Name(rawValue: node.tag.description))
        case .alias(let alias):
            throw OpenAPI.Mistake(description: "an unresolved alias \(alias.anchor)")
        }
    }

    private init(_ text: String, tag: Tag.Name) {
        switch tag {
        case .null: self = .null
        case .bool: self = .boolean(["true", "yes", "on"].contains(text.lowercased()))
        case .int: self = Int64(text).map { .integer($0) } ?? .text(text)
        case .float: self = Double(text).map { .number($0) } ?? .text(text)
        default: self = .text(text)
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .object(let members): try container.encode(members)
        case .list(let items): try container.encode(items)
        case .text(let text): try container.encode(text)
        case .number(let number): try container.encode(number)
        case .integer(let integer): try container.encode(integer)
        case .boolean(let boolean): try container.encode(boolean)
        case .null: try container.encodeNil()
        }
    }
}

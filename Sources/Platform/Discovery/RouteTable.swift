package import HTTPTypes

/// Finds who serves a path.
package struct RouteTable<Value: Sendable>: Sendable {
    package enum Match: Sendable {
        case found(Value, parameters: [String: String])
        /// The path is known, but not with this method.
        case methodNotAllowed(allowed: [HTTPRequest.Method])
        case notFound
    }

    private let tree: RouteTree
    private let values: [Value]

    package init(_ entries: [(Route, Value)]) {
        tree = RouteTree(entries.map(\.0))
        values = entries.map(\.1)
    }

    /// `HEAD` finds what serves `GET`.
    /// - Parameters:
    ///   - path: still percent-encoded, without the query.
    ///   - wantsParameters: none are given where they are not wanted.
    package func match(_ method: HTTPRequest.Method, _ path: Substring, wantsParameters: Bool = true) -> Match {
        switch tree.match(method, path, wantsParameters: wantsParameters) {
        case .found(let place, let parameters): .found(values[place], parameters: parameters)
        case .methodNotAllowed(let allowed): .methodNotAllowed(allowed: allowed)
        case .notFound: .notFound
        }
    }
}

/// A tree over the segments of paths, where a literal segment wins over a parameter. Of no type that is told later, so that it is compiled
/// once and for all.
struct RouteTree: Sendable {
    enum Match {
        /// - Parameter place: among the routes that it was made of.
        case found(place: Int, parameters: [String: String])
        case methodNotAllowed(allowed: [HTTPRequest.Method])
        case notFound
    }

    private struct Node {
        var literals: [(text: [UInt8], next: Int)] = []
        var parameter: Int?
        var routes: [(method: HTTPRequest.Method, names: [String], place: Int)] = []
    }

    private var nodes = [Node()]

    init(_ routes: [Route]) {
        for (place, route) in routes.enumerated() { insert(route, place) }
    }

    private mutating func insert(_ route: Route, _ place: Int) {
        var index = 0
        var names: [String] = []
        for segment in route.path.split(separator: "/") {
            let next: Int?
            if segment.hasPrefix("{") {
                names.append(String(segment.dropFirst().dropLast()))
                next = nodes[index].parameter
            } else {
                next = nodes[index].literals.first { $0.text.elementsEqual(segment.utf8) }?.next
            }
            if let next {
                index = next
            } else {
                nodes.append(Node())
                if segment.hasPrefix("{") {
                    nodes[index].parameter = nodes.count - 1
                } else {
                    nodes[index].literals.append((Array(segment.utf8), nodes.count - 1))
                }
                index = nodes.count - 1
            }
        }
        precondition(
            !nodes[index].routes.contains { $0.method == route.method }, "\(route.method) \(route.path) is listed twice")
        nodes[index].routes.append((route.method, names, place))
    }

    func match(_ method: HTTPRequest.Method, _ path: Substring, wantsParameters: Bool) -> Match {
        var path = path
        return path.withUTF8 { path in
            guard path.first == UInt8(ascii: "/") else { return .notFound }
            var segments: [Range<Int>] = []
            guard let node = find(path, 1, 0, &segments) else { return .notFound }
            let method = method == .head ? .get : method
            guard let entry = nodes[node].routes.first(where: { $0.method == method }) else {
                return .methodNotAllowed(allowed: nodes[node].routes.map(\.method))
            }
            guard wantsParameters else { return .found(place: entry.place, parameters: [:]) }
            var parameters: [String: String] = [:]
            for (name, segment) in zip(entry.names, segments) {
                guard let value = Substring(decoding: path[segment], as: UTF8.self).percentDecoded() else { return .notFound }
                parameters[name] = value
            }
            return .found(place: entry.place, parameters: parameters)
        }
    }

    /// - Parameters:
    ///   - start: of what is left of the path, behind its slash; beyond its end where nothing is left.
    ///   - parameters: the segments that stand for one.
    private func find(_ path: UnsafeBufferPointer<UInt8>, _ start: Int, _ index: Int, _ parameters: inout [Range<Int>]) -> Int? {
        guard start <= path.count else { return nodes[index].routes.isEmpty ? nil : index }
        var end = start
        while end < path.count, path[end] != UInt8(ascii: "/") { end += 1 }
        for literal in nodes[index].literals where literal.text.count == end - start {
            guard literal.text.elementsEqual(path[start..<end]) else { continue }
            if let found = find(path, end + 1, literal.next, &parameters) { return found }
        }
        guard let next = nodes[index].parameter, start < end else { return nil }
        parameters.append(start..<end)
        if let found = find(path, end + 1, next, &parameters) { return found }
        parameters.removeLast()
        return nil
    }
}

extension Substring {
    /// Nil for a broken escape, for bytes that are not UTF-8, and for NUL, which no parameter may hold.
    package func percentDecoded(plusIsSpace: Bool = false) -> String? {
        guard utf8.contains(where: { $0 == 37 || $0 == 43 || $0 == 0 }) else { return String(self) }
        var bytes: [UInt8] = []
        var rest = utf8[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = rest.popFirst().flatMap(hexValue), let low = rest.popFirst().flatMap(hexValue) else { return nil }
                bytes.append(high << 4 | low)
            case UInt8(ascii: "+") where plusIsSpace: bytes.append(32)
            default: bytes.append(byte)
            }
        }
        return bytes.contains(0) ? nil : String(validating: bytes, as: UTF8.self)
    }
}

private func hexValue(_ character: UInt8) -> UInt8? {
    switch character {
    case 48...57: character - 48
    case 65...70: character - 55
    case 97...102: character - 87
    default: nil
    }
}

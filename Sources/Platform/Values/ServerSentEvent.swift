/// One event of a stream of them (`text/event-stream` of HTML's standard).
public struct ServerSentEvent: Hashable, Sendable {
    public var id: String?
    public var name = "message"
    public var data: [UInt8] = []

    public init(id: String? = nil, name: String = "message", data: [UInt8] = []) {
        self.id = id
        self.name = name
        self.data = data
    }

    /// As it is sent. The data may have no line breaks.
    public var bytes: [UInt8] {
        let head = (id.map { "id: \($0)\n" } ?? "") + "event: \(name)\ndata: "
        return Array(head.utf8) + data + Array("\n\n".utf8)
    }

    /// What is sent where there is nothing to say, so that both ends see that the other is there.
    public static let heartbeat = Array(":\n\n".utf8)
}

/// Takes events from the pieces in which they arrive.
public struct ServerSentEventParser {
    /// An event that does not end, or is none.
    public struct TooLong: Error, CustomStringConvertible {
        fileprivate let longest: Int
        public var description: String { "the stream of events has one of more than \(longest) bytes" }
    }

    private let longest: Int

    private var line: [UInt8] = []
    private var event = ServerSentEvent()
    private var hasData = false

    /// - Parameter longest: of an event, in bytes.
    public init(longest: Int = 4 << 20) {
        self.longest = longest
    }

    /// Throws `TooLong`.
    public mutating func take(_ bytes: some Sequence<UInt8>) throws -> [ServerSentEvent] {
        var events: [ServerSentEvent] = []
        for byte in bytes {
            guard byte == UInt8(ascii: "\n") else {
                guard line.count + event.data.count < longest else { throw TooLong(longest: longest) }
                line.append(byte)
                continue
            }
            if line.last == UInt8(ascii: "\r") { line.removeLast() }
            if let event = takeLine() { events.append(event) }
            line.removeAll(keepingCapacity: line.count < 1 << 16)
        }
        return events
    }

    private mutating func takeLine() -> ServerSentEvent? {
        guard !line.isEmpty else {
            defer {
                event = ServerSentEvent()
                hasData = false
            }
            return hasData ? event : nil
        }
        let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
        var value = line[colon...].dropFirst()
        if value.first == UInt8(ascii: " ") { value = value.dropFirst() }
        switch String(decoding: line[..<colon], as: UTF8.self) {
        case "id": event.id = String(decoding: value, as: UTF8.self)
        case "event": event.name = String(decoding: value, as: UTF8.self)
        case "data":
            if hasData { event.data.append(UInt8(ascii: "\n")) }
            event.data += value
            hasData = true
        default: break
        }
        return nil
    }
}

internal import FoundationEssentials
import Values

/// What is on the wire: a message's JSON, and properties that tell other programs what it is. Where many messages of one name are
/// sent at once, a letter has several, a line each: what a letter costs the server does not depend on how many they are.
struct RabbitMQLetter: Sendable {
    private static let mostMessages = 50
    /// Of the messages of one letter, in bytes.
    private static let largestBody = 32 * 1_024
    private static let newline = UInt8(ascii: "\n")

    /// At least one; all of the same name. Those of a letter that has failed are one.
    let messages: [Message]
    let published: Instant
    /// How often it has failed.
    private(set) var attempts = 0
    /// Why it failed last.
    private(set) var reason: String?
    /// How often it was handed out before, and came back without an answer.
    private(set) var returns = 0

    init(_ message: Message, published: Instant = .now) {
        self.init(messages: [message], published: published)
    }

    private init(messages: [Message], published: Instant) {
        self.messages = messages
        self.published = published
    }

    var name: String { messages[0].name }
    var id: MessageID { messages[0].id }

    /// With one of its messages alone, after one more failure.
    func failed(_ message: Message, _ reason: String) -> RabbitMQLetter {
        var letter = RabbitMQLetter(message, published: published)
        letter.attempts = attempts + 1
        letter.reason = reason
        return letter
    }

    /// As if it had never failed.
    var fresh: RabbitMQLetter { RabbitMQLetter(messages: messages, published: published) }

    /// A letter for each message.
    var unpacked: [RabbitMQLetter] { messages.map { RabbitMQLetter($0, published: published) } }

    /// Messages in as few letters as they fit in.
    static func letters(of messages: [Message]) -> [RabbitMQLetter] {
        let now = Instant.now
        var parts: [[Message]] = []
        /// Where a name's messages are added, and how many bytes they have.
        var open: [String: (part: Int, size: Int)] = [:]
        for message in messages {
            let json = message.json.utf8
            let size = json.count
            // What is not a line goes alone.
            guard size > 0, !json.contains(newline) else {
                parts.append([message])
                continue
            }
            if let place = open[message.name], parts[place.part].count < mostMessages, place.size + size <= largestBody {
                parts[place.part].append(message)
                open[message.name] = (place.part, place.size + size)
            } else {
                open[message.name] = (parts.count, size)
                parts.append([message])
            }
        }
        return parts.map { RabbitMQLetter(messages: $0, published: now) }
    }
}

extension RabbitMQLetter {
    private enum Header {
        static let attempts = "x-ticketflow-attempts"
        static let reason = "x-ticketflow-reason"
        /// Of the messages, where they are several.
        static let ids = "x-ticketflow-ids"
        static let traceparent = "traceparent"
        /// RabbitMQ's own, where it has given a message up by itself.
        static let firstDeath = "x-first-death-reason"
        static let deliveries = "x-delivery-count"
    }

    /// What of the envelope is told in properties as well.
    private struct Traces: Decodable {
        let correlationId: String?
        let traceparent: String?
    }

    /// Of what is sent.
    struct Properties {
        let contentType: String
        var correlationID: String?
        var headers: [String: AMQPValue] = [:]
    }

    /// A line for each message.
    var body: String {
        messages.count == 1 ? messages[0].json : messages.map(\.json).joined(separator: "\n")
    }

    var properties: Properties {
        guard messages.count == 1 else {
            let ids = messages.map(\.id.description).joined(separator: " ")
            return Properties(contentType: "application/x-ndjson", headers: [Header.ids: .text(ids)])
        }
        let traces = try? JSON.value(Traces.self, from: messages[0].json)
        var headers: [String: AMQPValue] = [:]
        headers[Header.traceparent] = (traces?.traceparent).map { .text($0.prefix(bytes: 255)) }
        if attempts > 0 { headers[Header.attempts] = .integer(Int64(attempts)) }
        headers[Header.reason] = reason.map { .text($0.prefix(bytes: 2_000)) }
        return Properties(
            contentType: "application/json", correlationID: traces?.correlationId?.prefix(bytes: 255), headers: headers)
    }

    /// What was received; nil for what no broker of this program has sent.
    init?(messageID: String, type: String, body: String, timestamp: UInt64, headers: [String: AMQPValue]) {
        guard let seconds = Int64(exactly: timestamp) else { return nil }
        var (ids, bodies) = ([messageID], [body])
        if case .text(let several)? = headers[Header.ids] {
            ids = several.split(separator: " ").map(String.init)
            bodies = body.utf8.split(separator: RabbitMQLetter.newline).map { String(Substring($0)) }
        }
        guard !ids.isEmpty, ids.count == bodies.count else { return nil }
        var messages: [Message] = []
        for (id, body) in zip(ids, bodies) {
            guard let id = MessageID(id) else { return nil }
            messages.append(Message(id: id, name: type, json: body))
        }
        self.init(messages: messages, published: Instant(seconds: seconds))
        if case .integer(let returns)? = headers[Header.deliveries] { self.returns = Int(clamping: returns) }
        if case .integer(let attempts)? = headers[Header.attempts] { self.attempts = Int(clamping: attempts) }
        if case .text(let reason)? = headers[Header.reason] { self.reason = reason }
        if case .text("delivery_limit")? = headers[Header.firstDeath], reason == nil || attempts == 0 {
            reason = "its consumer ended \(RabbitMQTopology.mostDeliveries) times without an answer"
        }
    }
}

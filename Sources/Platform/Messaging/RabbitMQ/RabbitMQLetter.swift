internal import FoundationEssentials
import Values

/// A message as it is on the wire: a JSON body, and properties that tell other programs what it is.
struct RabbitMQLetter: Sendable {
    static let contentType = "application/json"

    var message: Message
    var published: Instant
    /// How often it has failed.
    var attempts = 0
    /// Why it failed last.
    var reason: String?

    init(_ message: Message, published: Instant = .now) {
        self.message = message
        self.published = published
    }

    /// After one more failure.
    func failed(_ reason: String) -> RabbitMQLetter {
        var letter = self
        letter.attempts += 1
        letter.reason = reason
        return letter
    }

    /// As if it had never failed.
    var fresh: RabbitMQLetter { RabbitMQLetter(message, published: published) }
}

extension RabbitMQLetter {
    private enum Header {
        static let attempts = "x-ticketflow-attempts"
        static let reason = "x-ticketflow-reason"
        static let traceparent = "traceparent"
        /// RabbitMQ's own, where it has given a message up by itself.
        static let firstDeath = "x-first-death-reason"
    }

    /// What of the envelope is told in properties as well.
    private struct Traces: Decodable {
        let correlationId: String?
        let traceparent: String?
    }

    /// Of what is sent.
    struct Properties {
        let correlationID: String?
        let headers: [String: AMQPValue]
    }

    var properties: Properties {
        let traces = try? JSON.value(Traces.self, from: message.json)
        var headers: [String: AMQPValue] = [:]
        headers[Header.traceparent] = (traces?.traceparent).map { .text($0.prefix(bytes: 255)) }
        if attempts > 0 { headers[Header.attempts] = .integer(Int64(attempts)) }
        headers[Header.reason] = reason.map { .text($0.prefix(bytes: 2_000)) }
        return Properties(correlationID: traces?.correlationId?.prefix(bytes: 255), headers: headers)
    }

    /// What was received; nil for what no broker of this program has sent.
    init?(messageID: String, type: String, body: String, timestamp: UInt64, headers: [String: AMQPValue]) {
        guard let id = MessageID(messageID), let seconds = Int64(exactly: timestamp) else { return nil }
        self.init(Message(id: id, name: type, json: body), published: Instant(seconds: seconds))
        if case .integer(let attempts)? = headers[Header.attempts] { self.attempts = Int(clamping: attempts) }
        if case .text(let reason)? = headers[Header.reason] { self.reason = reason }
        if case .text("delivery_limit")? = headers[Header.firstDeath], reason == nil || attempts == 0 {
            reason = "its consumer ended \(RabbitMQTopology.mostDeliveries) times without an answer"
        }
    }
}

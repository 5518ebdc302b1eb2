import Synchronization
package import Values

/// Something that happened, told to whoever listens. One struct in `Contracts/<Owner>/` per event.
///
/// Its name is its routing key and carries its version: `orders.paid.v1`. Within a version only optional fields are added.
package protocol DomainEvent: Codable, Sendable {
    static var name: String { get }
}

package enum MessageKind: IdentifierKind { package static let prefix = "evt" }
package typealias MessageID = TypeID<MessageKind>

/// An event with what every event has.
package struct Envelope<Body: DomainEvent>: Sendable {
    package let id: MessageID
    package let time: Instant
    /// What it happened to.
    package let aggregateID: String
    /// Grows with each change of the aggregate. No order of arrival is promised: a projection ignores what is older than what it has.
    package let aggregateVersion: Int64
    /// The request that caused it.
    package let correlationID: String?
    package let traceparent: String?
    package let body: Body

    package init(
        id: MessageID, time: Instant, aggregateID: String, aggregateVersion: Int64, correlationID: String?, traceparent: String?, body: Body
    ) {
        self.id = id
        self.time = time
        self.aggregateID = aggregateID
        self.aggregateVersion = aggregateVersion
        self.correlationID = correlationID
        self.traceparent = traceparent
        self.body = body
    }
}

extension Envelope: Codable {
    private enum CodingKeys: String, CodingKey {
        case id, time, correlationID = "correlationId", traceparent
        case aggregateID = "aggregateId", aggregateVersion, name, body = "data"
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        id = try container.decode(MessageID.self, forKey: .id)
        time = try container.decode(Instant.self, forKey: .time)
        aggregateID = try container.decode(String.self, forKey: .aggregateID)
        aggregateVersion = try container.decode(Int64.self, forKey: .aggregateVersion)
        correlationID = try container.decodeIfPresent(String.self, forKey: .correlationID)
        traceparent = try container.decodeIfPresent(String.self, forKey: .traceparent)
        body = try container.decode(Body.self, forKey: .body)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(Body.name, forKey: .name)
        try container.encode(time, forKey: .time)
        try container.encode(aggregateID, forKey: .aggregateID)
        try container.encode(aggregateVersion, forKey: .aggregateVersion)
        try container.encodeIfPresent(correlationID, forKey: .correlationID)
        try container.encodeIfPresent(traceparent, forKey: .traceparent)
        try container.encode(body, forKey: .body)
    }
}

extension Envelope: JSONWritable where Body: JSONWritable {
    package func write(to json: inout JSONText) {
        json.object { json in
            json.member("aggregateId", aggregateID)
            json.member("aggregateVersion", aggregateVersion)
            json.member("correlationId", correlationID)
            json.member("data", body)
            json.member("id", id)
            json.member("name", Body.name)
            json.member("time", time)
            json.member("traceparent", traceparent)
        }
    }
}

/// An envelope as brokers see it: an id, a routing key and JSON.
package struct Message: Sendable {
    package let id: MessageID
    package let name: String
    package let json: String
    /// What was read of it, by whoever has a copy: within a process several queues hand out the same message.
    private let reading = Reading()

    private final class Reading: Sendable {
        let envelope = Mutex<(any Sendable)?>(nil)
    }

    package init(id: MessageID, name: String, json: String) {
        self.id = id
        self.name = name
        self.json = json
    }

    package func envelope<Body: DomainEvent>(of type: Body.Type) throws -> Envelope<Body> {
        if let known = reading.envelope.withLock({ $0 }) as? Envelope<Body> { return known }
        let envelope = try JSON.value(Envelope<Body>.self, from: json)
        reading.envelope.withLock { $0 = envelope }
        return envelope
    }
}

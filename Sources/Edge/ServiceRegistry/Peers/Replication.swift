import Discovery
import Values

/// Something that happened here and shall happen at the peers.
struct Replication: Sendable {
    enum Action: String, Sendable {
        case register = "Register"
        case heartbeat = "Heartbeat"
        case cancel = "Cancel"
        case statusUpdate = "StatusUpdate"
        case deleteStatusOverride = "DeleteStatusOverride"
    }

    let action: Action
    let key: LeaseTable.Key
    let at: Instant
    /// The instance as it is now; nil where it is gone.
    var instance: RegisteredInstance?
    /// What was decreed, or what is in force.
    var status: RegisteredInstance.Status?

    /// A batch of them as it is sent.
    static func document(_ replications: [Replication]) -> [UInt8] {
        RegistryWriter.json { writer in
            writer.list("replicationList", replications) { writer, replication in
                writer.text("appName", replication.key.app)
                writer.text("id", replication.key.id)
                writer.number("lastDirtyTimestamp", replication.instance?.lastDirtyAt ?? 0)
                writer.text("overriddenStatus", replication.instance?.overriddenStatus.rawValue)
                writer.text("status", (replication.status ?? replication.instance?.status)?.rawValue)
                if replication.action == .register, let instance = replication.instance {
                    writer.object("instanceInfo") { instance.write(to: &$0) }
                }
                writer.text("action", replication.action.rawValue)
            }
        }
    }
}

/// A batch as it arrives.
struct ReplicationBatch: Decodable {
    struct Item: Decodable {
        var appName: String?
        var id: String?
        var lastDirtyTimestamp: LooseText?
        var overriddenStatus: String?
        var status: String?
        var action: String?
        var instanceInfo: RegisteredInstance?
    }

    let items: [Item]

    private enum Key: String, CodingKey { case replicationList }

    init(from decoder: any Decoder) throws {
        items = try decoder.container(keyedBy: Key.self).decode(OneOrMany<Item>.self, forKey: .replicationList).values
    }
}

/// What became of each part of a batch.
struct ReplicationAnswer: Decodable {
    struct Item: Decodable {
        var statusCode: Int
        var responseEntity: RegisteredInstance?
    }

    let items: [Item]

    private enum Key: String, CodingKey { case responseList }

    init(from decoder: any Decoder) throws {
        items = try decoder.container(keyedBy: Key.self).decodeIfPresent(OneOrMany<Item>.self, forKey: .responseList)?.values ?? []
    }

    static func document(_ results: [(status: Int, entity: RegisteredInstance?)]) -> [UInt8] {
        RegistryWriter.json { writer in
            writer.list("responseList", results) { writer, result in
                writer.number("statusCode", Int64(result.status))
                if let entity = result.entity { writer.object("responseEntity") { entity.write(to: &$0) } }
            }
        }
    }
}

/// What a peer has not heard yet, in the order in which it happened. Of one instance only what still matters is kept: so there is never
/// more than there are instances, however long a peer is away.
struct PendingReplications: Sendable {
    private static let most = 20_000

    private var order: [LeaseTable.Key] = []
    private var waiting: [LeaseTable.Key: [Replication]] = [:]

    var isEmpty: Bool { order.isEmpty }
    var count: Int { order.count }

    mutating func add(_ replication: Replication) {
        let before = waiting[replication.key] ?? []
        let after: [Replication]
        switch replication.action {
        // What was taken back or ended before does not come back with a registration: a peer keeps both of an instance that it knows.
        case .register: after = before.filter { $0.action == .cancel || $0.action == .deleteStatusOverride } + [replication]
        case .cancel: after = [replication]
        // All else says as well that the instance is there.
        case .heartbeat: after = before.isEmpty ? [replication] : before
        case .statusUpdate, .deleteStatusOverride: after = before.filter { $0.action == .register || $0.action == .cancel } + [replication]
        }
        if before.isEmpty { order.append(replication.key) }
        waiting[replication.key] = after
        if order.count > PendingReplications.most { waiting[order.removeFirst()] = nil }
    }

    func hasRegistration(of key: LeaseTable.Key) -> Bool {
        waiting[key]?.contains { $0.action == .register } ?? false
    }

    mutating func take(atMost count: Int) -> [Replication] {
        var taken: [Replication] = []
        var keys = 0
        while taken.count < count, keys < order.count {
            taken += waiting.removeValue(forKey: order[keys]) ?? []
            keys += 1
        }
        order.removeFirst(keys)
        return taken
    }

    /// Forgets what is so old that it has settled itself: a lease that nobody renews ends, and one that is renewed is registered then.
    mutating func forget(before instant: Instant) {
        waiting = waiting.compactMapValues { replications in
            let left = replications.filter { $0.at >= instant }
            return left.isEmpty ? nil : left
        }
        order.removeAll { waiting[$0] == nil }
    }
}

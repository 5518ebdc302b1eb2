import Discovery
import Values

/// All leases, and what has changed about them. Each change has a version of its own, one after the other.
struct LeaseTable: Sendable {
    struct Key: Hashable, Sendable {
        let app: String
        let id: String
    }

    struct Change: Sendable {
        let version: Int64
        let at: Instant
        /// As it was then, with what became of it.
        let instance: RegisteredInstance
    }

    enum Renewal: Sendable {
        case renewed
        /// It must register.
        case unknown
        /// The other side knows an earlier state than this.
        case older(RegisteredInstance)
    }

    /// The registry has as many instances as it may have.
    struct Full: Error {}

    /// How long changes are told to those who ask for them.
    static let memory = TimeSpan.seconds(180)
    /// More are forgotten earlier: who has missed some asks for everything.
    static let mostChanges = 10_000

    /// Longer than a registry keeps what a peer has not heard.
    private static let settling = TimeSpan.minutes(2)

    /// In seconds. Who asks for more is not kept for ever when it is gone.
    static let longestLease = 86_400

    private(set) var leases: [String: [String: Lease]] = [:]
    private(set) var count = 0
    private(set) var version: Int64
    /// In the order of their versions, with none missing between the first and the last.
    private(set) var changes: [Change] = []
    private(set) var preservation: Preservation
    private let limit: Int

    /// - Parameter version: of the empty table. A registry that begins anew goes on beyond what it was: some clients take the same version
    ///   and the same hash for nothing new.
    init(preservation: Preservation.Rule, limit: Int, version: Int64) {
        self.version = version
        self.preservation = Preservation(preservation)
        self.limit = limit
    }

    subscript(key: Key) -> Lease? { leases[key.app]?[key.id] }

    var instances: [RegisteredInstance] { leases.values.flatMap { $0.values.map(\.instance) } }

    var hash: String { RegistryHash.of(leases.values.lazy.joined().lazy.map(\.value.instance.status)) }

    // MARK: What clients and peers do

    mutating func register(_ said: RegisteredInstance, isReplicated: Bool, at now: Instant) throws {
        let key = Key(app: said.app, id: said.id)
        let before = self[key]
        guard before != nil || count < limit else { throw Full() }
        var instance = said
        // What the instance itself has said last is right, whoever hands it on.
        if let before, before.instance.lastDirtyAt > said.lastDirtyAt { instance = before.instance }
        let override = before?.override ?? (said.overriddenStatus == .unknown ? nil : said.overriddenStatus)
        instance.status = Lease.status(for: instance.status, override: override, after: before, isReplicated: isReplicated)
        instance.overriddenStatus = override ?? .unknown
        instance.action = .added
        instance.lastUpdatedAt = now.milliseconds
        instance.lease.registeredAt = before?.instance.lease.registeredAt ?? now.milliseconds
        instance.lease.evictedAt = 0
        instance.lease.durationSeconds = min(instance.lease.durationSeconds, LeaseTable.longestLease)
        instance.lease.upSince = before?.instance.lease.upSince ?? 0
        var lease = Lease(
            instance: instance, override: override, overrideChangedAt: before?.overrideChangedAt, registeredAt: before?.registeredAt ?? now,
            endsAt: now)
        lease.renew(at: now)
        lease.noteWhetherUp(at: now)
        put(lease, key, at: now)
    }

    mutating func renew(_ key: Key, dirtyAt: Int64?, isReplicated: Bool, at now: Instant) -> Renewal {
        guard var lease = self[key] else { return .unknown }
        let status = Lease.status(for: lease.instance.status, override: lease.override, after: lease, isReplicated: isReplicated)
        guard status != .unknown else { return .unknown }
        preservation.renewed(at: now)
        if status != lease.instance.status {
            lease.instance.status = status
            lease.renew(at: now)
            put(lease, key, at: now, as: .modified)
        } else {
            leases[key.app]?[key.id]?.renew(at: now)
        }
        guard let dirtyAt, dirtyAt != lease.instance.lastDirtyAt else { return .renewed }
        if dirtyAt > lease.instance.lastDirtyAt { return .unknown }
        return isReplicated ? .older(lease.instance) : .renewed
    }

    /// - Returns: whether it was there.
    mutating func cancel(_ key: Key, at now: Instant) -> Bool {
        remove(key, at: now)
    }

    /// Decrees a status, whatever the instance says of itself.
    mutating func setStatus(_ status: RegisteredInstance.Status, of key: Key, dirtyAt: Int64?, at now: Instant) -> Bool {
        change(key, at: now) { lease in
            lease.override = status == .unknown ? nil : status
            lease.overrideChangedAt = now
            lease.instance.status = status
            if let dirtyAt { lease.instance.lastDirtyAt = max(lease.instance.lastDirtyAt, dirtyAt) }
        }
    }

    /// - Parameter status: what is in force from now on; unknown where it has to say so itself.
    mutating func removeOverride(_ key: Key, status: RegisteredInstance.Status, dirtyAt: Int64?, at now: Instant) -> Bool {
        guard let lease = self[key] else { return false }
        guard lease.override != nil else {
            leases[key.app]?[key.id]?.renew(at: now)
            return true
        }
        return change(key, at: now) { lease in
            lease.override = nil
            lease.overrideChangedAt = now
            lease.instance.status = status
            if let dirtyAt { lease.instance.lastDirtyAt = max(lease.instance.lastDirtyAt, dirtyAt) }
        }
    }

    /// Takes over a status that a peer says was decreed, if it is another than here. For a while a change made here is the later one: the
    /// peer may not have heard of it.
    mutating func adopt(override: RegisteredInstance.Status, of key: Key, at now: Instant) {
        guard override != .unknown, let lease = self[key], lease.override != override,
            lease.overrideChangedAt.map({ $0 + LeaseTable.settling <= now }) ?? true
        else { return }
        _ = change(key, at: now) { lease in
            lease.override = override
            if lease.instance.status != .down, lease.instance.status != .starting { lease.instance.status = override }
        }
    }

    mutating func merge(_ metadata: [String: String], into key: Key, at now: Instant) -> Bool {
        change(key, at: now) { $0.instance.metadata.merge(metadata) { $1 } }
    }

    // MARK: What time does

    /// Removes what is not believed any more.
    /// - Returns: how many.
    mutating func evict(at now: Instant) -> Int {
        var due: [Key] = []
        let longest = preservationState(at: now).isActive ? preservation.rule.longest : .zero
        for (app, instances) in leases {
            for (id, lease) in instances where lease.endsAt + longest <= now { due.append(Key(app: app, id: id)) }
        }
        for key in due { remove(key, at: now, isEvicted: true) }
        if let first = changes.first, first.at + LeaseTable.memory < now {
            changes.removeFirst(changes.firstIndex { $0.at + LeaseTable.memory >= now } ?? changes.count)
        }
        return due.count
    }

    mutating func preservationState(at now: Instant) -> Preservation.State {
        var expected = 0.0
        for instances in leases.values {
            // Of one that came less than a minute ago not all renewals can have come.
            for lease in instances.values where lease.registeredAt + .minutes(1) <= now { expected += lease.renewalsPerMinute }
        }
        return preservation.state(expected: expected, instances: count, at: now)
    }

    // MARK: What has changed

    /// What changed after a version; nil where that is not known any more, or never was.
    func changes(after version: Int64) -> ArraySlice<Change>? {
        guard version <= self.version, version >= self.version - Int64(changes.count) else { return nil }
        return changes.suffix(Int(self.version - version))
    }

    /// The last change of each instance that changed of late.
    func recentChanges(at now: Instant) -> [RegisteredInstance] {
        var seen: Set<Key> = []
        return changes.reversed().prefix { $0.at + LeaseTable.memory >= now }.map(\.instance)
            .filter { seen.insert(Key(app: $0.app, id: $0.id)).inserted }
    }

    // MARK: One lease

    private mutating func change(_ key: Key, at now: Instant, _ body: (inout Lease) -> Void) -> Bool {
        guard var lease = self[key] else { return false }
        body(&lease)
        lease.instance.overriddenStatus = lease.override ?? .unknown
        lease.instance.lastUpdatedAt = now.milliseconds
        lease.renew(at: now)
        lease.noteWhetherUp(at: now)
        put(lease, key, at: now, as: .modified)
        return true
    }

    private mutating func put(_ lease: Lease, _ key: Key, at now: Instant, as action: RegisteredInstance.Action = .added) {
        var lease = lease
        lease.instance.action = action
        if leases[key.app, default: [:]].updateValue(lease, forKey: key.id) == nil { count += 1 }
        note(lease.instance, at: now)
    }

    @discardableResult
    private mutating func remove(_ key: Key, at now: Instant, isEvicted: Bool = false) -> Bool {
        guard var lease = leases[key.app]?.removeValue(forKey: key.id) else { return false }
        if leases[key.app]?.isEmpty ?? false { leases[key.app] = nil }
        count -= 1
        lease.instance.action = .deleted
        lease.instance.lastUpdatedAt = now.milliseconds
        if isEvicted { lease.instance.lease.evictedAt = now.milliseconds }
        note(lease.instance, at: now)
        return true
    }

    private mutating func note(_ instance: RegisteredInstance, at now: Instant) {
        version += 1
        changes.append(Change(version: version, at: now, instance: instance))
        if changes.count > LeaseTable.mostChanges { changes.removeFirst(LeaseTable.mostChanges / 10) }
    }
}

extension Lease {
    fileprivate mutating func noteWhetherUp(at now: Instant) {
        if instance.status == .up, instance.lease.upSince == 0 { instance.lease.upSince = now.milliseconds }
    }
}

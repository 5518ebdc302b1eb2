import Values

/// What a process has heard of where services run.
struct KnownInstances {
    private struct Key: Hashable {
        let app: String
        let id: String

        init(_ instance: RegisteredInstance) {
            app = instance.app
            id = instance.id
        }
    }

    /// A registry that has begun anew knows nobody until they have all told it that they are there, which they do within a renewal's
    /// time. So long whoever a whole list no longer holds is still believed to be there: nobody is asked for long who is not.
    static let grace = TimeSpan.seconds(40)

    private var listed: [Key: RegisteredInstance] = [:]
    private var missed: [Key: (instance: RegisteredInstance, until: Instant)] = [:]
    /// From an earlier life, by the name of their application. Believed in the same way, until the registry has named the application.
    private var remembered: [String: [Instance]] = [:]
    private var heardAt: Instant?

    /// Whether a registry has said anything yet.
    var isHeard: Bool { heardAt != nil }

    /// Of all that the registry lists.
    var hash: String { RegistryHash.of(listed.values.lazy.map(\.status)) }

    mutating func remember(_ addresses: [String: [Instance]]) {
        remembered = addresses
    }

    mutating func replace(with instances: [RegisteredInstance], at now: Instant) {
        heardAt = heardAt ?? now
        let before = listed
        listed = Dictionary(instances.map { (Key($0), $0) }) { $1 }
        for instance in instances { remembered[instance.app] = nil }
        for (key, instance) in before where listed[key] == nil { missed[key] = (instance, now + KnownInstances.grace) }
        missed = missed.filter { listed[$0.key] == nil && now < $0.value.until }
    }

    mutating func apply(_ changes: [RegisteredInstance], at now: Instant) {
        for instance in changes {
            missed[Key(instance)] = nil
            remembered[instance.app] = nil
            listed[Key(instance)] = instance.action == .deleted ? nil : instance
        }
        missed = missed.filter { now < $0.value.until }
    }

    /// Where those run that want requests, by the name of their application.
    func addresses(at now: Instant) -> [String: [Instance]] {
        var addresses: [String: [Instance]] = [:]
        for instance in Array(listed.values) + missed.values.filter({ now < $0.until }).map(\.instance) {
            guard instance.status == .up, let address = instance.address else { continue }
            addresses[instance.app, default: []].append(address)
        }
        addresses = addresses.mapValues { $0.sorted { $0.address < $1.address } }
        if let heardAt, now < heardAt + KnownInstances.grace { addresses.merge(remembered) { listed, _ in listed } }
        return addresses
    }
}

extension RegisteredInstance {
    /// Where it takes plain HTTP; nil where it takes none.
    var address: Instance? {
        guard port.isEnabled else { return nil }
        let host = ipAddress.isEmpty ? hostName : ipAddress
        return Instance(host.contains(":") ? "[\(host)]:\(port.number)" : "\(host):\(port.number)")
    }
}

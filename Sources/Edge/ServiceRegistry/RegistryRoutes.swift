import Compression
import Discovery
import HTTPTypes
import Metrics
import ServiceKit
import Values

/// Answers in Eureka's protocol.
struct RegistryRoutes: Sendable {
    let registry: Registry
    let answers: AnswerCache
    let peers: Peers
    private let registrations = Counter(label: "registry_registrations_total")
    private let renewals = Counter(label: "registry_renewals_total")
    private let cancellations = Counter(label: "registry_cancellations_total")

    init(registry: Registry, answers: AnswerCache, peers: Peers) {
        self.registry = registry
        self.answers = answers
        self.peers = peers
    }

    func answer(_ resource: Resource, _ request: RegistryRequest) async -> Reply {
        let method = request.incoming.method == .head ? .get : request.incoming.method
        guard resource.methods.contains(method) else {
            var reply = Reply.text(.methodNotAllowed, "This address knows \(resource.methods.map(\.rawValue).joined(separator: ", ")).")
            reply.headers[.allow] = resource.methods.map(\.rawValue).joined(separator: ", ")
            return reply
        }
        // An answer that lacks what the peers know would make clients forget their instances.
        if method == .get, !peers.hasBegun, !request.isFromPeer {
            var reply = Reply.text(
                .serviceUnavailable, "This registry is still asking its peers for what they have. Ask another, or again.")
            reply.headers[.retryAfter] = "1"
            return reply
        }
        switch (method, resource) {
        case (.get, .applications): return await listing(.everything, request)
        case (.get, .recentChanges): return await listing(.recentChanges, request)
        case (.get, .changes): return await changes(request)
        case (.get, _): return lookUp(resource, request)
        case (.post, .application(let app)): return register(app, request)
        case (.put, .instance(let key)):
            return reply(to: renew(key, dirtyAt: request.dirtyAt, isFromPeer: request.isFromPeer), request)
        case (.delete, .instance(let key)): return Reply.found(cancel(key, isFromPeer: request.isFromPeer))
        case (.put, .status(let key)):
            guard let text = request.query["value"], let status = RegisteredInstance.Status(rawValue: text.uppercased()) else {
                return .badRequest("Say ?value=UP, DOWN, STARTING, OUT_OF_SERVICE or UNKNOWN.")
            }
            return Reply.found(setStatus(status, of: key, dirtyAt: request.dirtyAt, isFromPeer: request.isFromPeer))
        case (.delete, .status(let key)):
            let status = RegisteredInstance.Status(request.query["value"]) ?? .unknown
            return Reply.found(removeOverride(key, status: status, dirtyAt: request.dirtyAt, isFromPeer: request.isFromPeer))
        case (.put, .metadata(let key)): return merge(request.query.values, into: key, request)
        case (.post, .batch): return batch(request)
        default: return Reply(status: .notFound)
        }
    }

    // MARK: Looking up

    private func listing(_ content: AnswerCache.Content, _ request: RegistryRequest) async -> Reply {
        // A peer that takes over everything wants to know how old it is.
        if request.isFromPeer { return whole(RegistryListing(registry), request) }
        let isCompressed = request.takesGzip
        let answer = await answers.answer(
            .init(content, request.format, isCompact: request.isCompact, isCompressed: isCompressed))
        return .document(answer.bytes, request.format, isCompressed: isCompressed)
    }

    private func whole(_ listing: RegistryListing, _ request: RegistryRequest) -> Reply {
        document(listing.document(request.format, isCompact: request.isCompact), request)
    }

    private func changes(_ request: RegistryRequest) async -> Reply {
        let stream = ChangeStream(registry, answers: answers)
        let (first, rest) = await stream.begin(after: request.incoming.headers[.lastEventID])
        var reply = Reply.bytes(first, type: ChangeStream.contentType).uncached
        if request.incoming.method != .head { reply.rest = rest }
        return reply
    }

    private func lookUp(_ resource: Resource, _ request: RegistryRequest) -> Reply {
        switch resource {
        case .application(let app):
            let instances = registry.with { table, _ in table.leases[app]?.values.map(\.instance) ?? [] }
            guard !instances.isEmpty else { return Reply.found(false) }
            return document(
                RegistryListing.document(of: app, instances.sorted { $0.id < $1.id }, request.format, isCompact: request.isCompact), request
            )
        case .instance(let key):
            guard let lease = registry.with({ table, _ in table[key] }) else { return Reply.found(false) }
            return document(lease.instance.document(request.format, isCompact: request.isCompact), request)
        case .instanceByID(let id):
            let found = registry.with { table, _ in table.leases.values.lazy.compactMap { $0[id] }.first }
            guard let found else { return Reply.found(false) }
            return document(found.instance.document(request.format, isCompact: request.isCompact), request)
        case .vip(let name): return reached(by: name, \.vipAddress, request)
        case .secureVip(let name): return reached(by: name, \.secureVipAddress, request)
        default: return Reply(status: .notFound)
        }
    }

    private func reached(by name: String, _ names: any KeyPath<RegisteredInstance, String?> & Sendable, _ request: RegistryRequest) -> Reply
    {
        let (instances, version) = registry.with { table, _ in
            (table.instances.filter { $0[keyPath: names]?.split(separator: ",").contains { $0 == name } ?? false }, table.version)
        }
        guard !instances.isEmpty else { return Reply.found(false) }
        return whole(
            RegistryListing(version: "\(version)", hash: RegistryHash.of(instances.map(\.status)), instances: instances), request)
    }

    private func document(_ bytes: [UInt8], _ request: RegistryRequest) -> Reply {
        // What is small gains nothing.
        guard request.takesGzip, bytes.count > 1_024 else { return .document(bytes, request.format) }
        return .document(Gzip.compressed(bytes), request.format, isCompressed: true)
    }

    private func reply(to renewal: LeaseTable.Renewal, _ request: RegistryRequest) -> Reply {
        switch renewal {
        case .renewed: return Reply(status: .ok)
        case .unknown: return Reply.found(false)
        case .older(let instance):
            var reply = document(instance.document(request.format), request)
            reply.status = .conflict
            return reply
        }
    }

    // MARK: Telling

    private func register(_ app: String, _ request: RegistryRequest) -> Reply {
        let instance: RegisteredInstance
        do {
            instance = try JSON.value(EnclosedInstance.self, from: request.incoming.json()).instance
        } catch let refusal as BodyRefused {
            return refusal.reply
        } catch let tooMuch as TooMuchMetadata {
            return .badRequest("\(tooMuch)")
        } catch {
            return .badRequest(#"The body must be {"instance": {...}}, or <instance>...</instance> with Content-Type: application/xml."#)
        }
        if let complaint = instance.complaint(asOf: app) { return .badRequest(complaint) }
        do {
            try register(instance, isFromPeer: request.isFromPeer)
        } catch {
            return .text(.serviceUnavailable, "This registry has as many instances as it may have, and takes no more.")
        }
        return .noContent
    }

    func register(_ said: RegisteredInstance, isFromPeer: Bool) throws {
        var said = said
        said.app = said.app.uppercased()
        let key = LeaseTable.Key(app: said.app, id: said.id)
        let instance = try registry.with { [said] table, now in
            try table.register(said, isReplicated: isFromPeer, at: now)
            return table[key]?.instance
        }
        registrations.increment()
        if !isFromPeer { peers.tell(Replication(action: .register, key: key, at: registry.now, instance: instance)) }
    }

    func renew(_ key: LeaseTable.Key, dirtyAt: Int64?, isFromPeer: Bool) -> LeaseTable.Renewal {
        let isAlone = peers.all.isEmpty || isFromPeer
        let (renewal, instance, now) = registry.with { table, now in
            let renewal = table.renew(key, dirtyAt: dirtyAt, isReplicated: isFromPeer, at: now)
            return (renewal, isAlone ? nil : table[key]?.instance, now)
        }
        guard case .renewed = renewal else { return renewal }
        renewals.increment()
        if let instance { peers.tell(Replication(action: .heartbeat, key: key, at: now, instance: instance)) }
        return renewal
    }

    func cancel(_ key: LeaseTable.Key, isFromPeer: Bool) -> Bool {
        guard registry.with({ table, now in table.cancel(key, at: now) }) else { return false }
        cancellations.increment()
        if !isFromPeer { peers.tell(Replication(action: .cancel, key: key, at: registry.now)) }
        return true
    }

    func setStatus(_ status: RegisteredInstance.Status, of key: LeaseTable.Key, dirtyAt: Int64?, isFromPeer: Bool) -> Bool {
        let instance = registry.with { table, now in
            table.setStatus(status, of: key, dirtyAt: dirtyAt, at: now) ? table[key]?.instance : nil
        }
        guard let instance else { return false }
        if !isFromPeer {
            peers.tell(Replication(action: .statusUpdate, key: key, at: registry.now, instance: instance, status: status))
        }
        return true
    }

    func removeOverride(_ key: LeaseTable.Key, status: RegisteredInstance.Status, dirtyAt: Int64?, isFromPeer: Bool) -> Bool {
        let instance = registry.with { table, now in
            table.removeOverride(key, status: status, dirtyAt: dirtyAt, at: now) ? table[key]?.instance : nil
        }
        guard let instance else { return false }
        if !isFromPeer {
            peers.tell(Replication(action: .deleteStatusOverride, key: key, at: registry.now, instance: instance, status: status))
        }
        return true
    }

    private func merge(_ metadata: [String: String], into key: LeaseTable.Key, _ request: RegistryRequest) -> Reply {
        let instance = registry.with { table, now -> RegisteredInstance?? in
            guard var instance = table[key]?.instance else { return nil }
            instance.metadata.merge(metadata) { $1 }
            guard instance.complaint(asOf: instance.app) == nil, table.merge(metadata, into: key, at: now) else { return .some(nil) }
            return table[key]?.instance
        }
        guard let instance else { return Reply.found(false) }
        guard let instance else { return .badRequest("The metadata would become too large.") }
        // Eureka does not hand metadata on; a registration does.
        if !request.isFromPeer { peers.tell(Replication(action: .register, key: key, at: registry.now, instance: instance)) }
        return Reply(status: .ok)
    }

    // MARK: From a peer

    private func batch(_ request: RegistryRequest) -> Reply {
        let batch: ReplicationBatch
        do {
            batch = try JSON.value(from: request.incoming.json())
        } catch let refusal as BodyRefused {
            return refusal.reply
        } catch let tooMuch as TooMuchMetadata {
            return .badRequest("\(tooMuch)")
        } catch {
            return .badRequest(#"The body must be {"replicationList": [...]}."#)
        }
        var reply = Reply.document(ReplicationAnswer.document(batch.items.map(take)), .json)
        reply.headers[.registryID] = registry.id
        return reply
    }

    private func take(_ item: ReplicationBatch.Item) -> (status: Int, entity: RegisteredInstance?) {
        guard let app = item.appName?.uppercased(), let id = item.id else { return (400, nil) }
        let key = LeaseTable.Key(app: app, id: id)
        let dirtyAt = item.lastDirtyTimestamp.flatMap { Int64($0.text) }.flatMap { $0 == 0 ? nil : $0 }
        let status = RegisteredInstance.Status(item.status) ?? .unknown
        switch item.action.flatMap({ Replication.Action(rawValue: $0) }) {
        case .register:
            guard let instance = item.instanceInfo, instance.complaint(asOf: app) == nil, instance.id == id else { return (400, nil) }
            do {
                try register(instance, isFromPeer: true)
                return (200, nil)
            } catch {
                return (503, nil)
            }
        case .heartbeat:
            switch renew(key, dirtyAt: dirtyAt, isFromPeer: true) {
            case .renewed:
                if let override = RegisteredInstance.Status(item.overriddenStatus) {
                    registry.with { table, now in table.adopt(override: override, of: key, at: now) }
                }
                return (200, nil)
            case .unknown: return (404, nil)
            case .older(let instance): return (409, instance)
            }
        case .cancel: return (cancel(key, isFromPeer: true) ? 200 : 404, nil)
        case .statusUpdate: return (setStatus(status, of: key, dirtyAt: dirtyAt, isFromPeer: true) ? 200 : 404, nil)
        case .deleteStatusOverride: return (removeOverride(key, status: status, dirtyAt: dirtyAt, isFromPeer: true) ? 200 : 404, nil)
        case nil: return (400, nil)
        }
    }
}

extension RegistryListing {
    /// All that a registry has at this moment.
    init(_ registry: Registry) {
        self = registry.with { table, _ in
            RegistryListing(version: "\(table.version)", hash: table.hash, instances: table.instances)
        }
    }
}

import Discovery
import Testing
import Values

@testable import ServiceRegistry

@Suite struct RegistryLeaseTests {
    private static let begin = Instant(seconds: 1_800_000_000)
    private static let key = LeaseTable.Key(app: "SHOP", id: "a")

    private func table(preservation: Preservation.Rule = .init(), limit: Int = 20_000) -> LeaseTable {
        LeaseTable(preservation: preservation, limit: limit, version: 0)
    }

    private func after(_ seconds: Int64, _ milliseconds: Int64 = 0) -> Instant {
        RegistryLeaseTests.begin + .seconds(seconds) + .milliseconds(milliseconds)
    }

    @Test func `a lease of 90 seconds ends 90 seconds after its last renewal, not twice that`() throws {
        var table = table()
        try table.register(.example(), isReplicated: false, at: after(0))
        _ = table.renew(RegistryLeaseTests.key, dirtyAt: nil, isReplicated: false, at: after(30))
        #expect(table.evict(at: after(119, 999)) == 0)
        #expect(table.evict(at: after(120)) == 1)
        #expect(table.count == 0 && table.leases.isEmpty)
        #expect(table.changes.last?.instance.action == .deleted)
        guard case .unknown = table.renew(RegistryLeaseTests.key, dirtyAt: nil, isReplicated: false, at: after(120)) else {
            Issue.record("an ended lease was renewed")
            return
        }
    }

    @Test func `a lease lasts as long as the instance says, but not for ever`() throws {
        var table = table()
        var instance = RegisteredInstance.example()
        instance.lease.durationSeconds = 3
        try table.register(instance, isReplicated: false, at: after(0))
        instance = .example("b")
        instance.lease.durationSeconds = .max
        try table.register(instance, isReplicated: false, at: after(0))
        #expect(table.evict(at: after(3)) == 1)
        #expect(table.evict(at: after(86_399)) == 0)
        #expect(table.evict(at: after(86_400)) == 1)
    }

    @Test func `changes are told for three minutes`() throws {
        var table = table()
        try table.register(.example("a"), isReplicated: false, at: after(0))
        try table.register(.example("b"), isReplicated: false, at: after(100))
        #expect(Set(table.recentChanges(at: after(180)).map(\.id)) == ["a", "b"])
        #expect(table.recentChanges(at: after(181)).map(\.id) == ["b"])
        for id in ["a", "b"] { _ = table.renew(.init(app: "SHOP", id: id), dirtyAt: nil, isReplicated: false, at: after(200)) }
        _ = table.evict(at: after(200))
        #expect(table.changes.map(\.instance.id) == ["b"])
        #expect(table.changes(after: 1)?.map(\.instance.id) == ["b"])
        #expect(table.changes(after: 0) == nil && table.changes(after: 3) == nil)
        #expect(table.changes(after: 2)?.isEmpty == true)
    }

    @Test func `changes do not grow without bound, and versions have no gap`() throws {
        var table = table()
        for number in 0..<25_000 {
            try table.register(.example("\(number % 50)"), isReplicated: false, at: after(0))
        }
        #expect(table.version == 25_000 && table.changes.count <= LeaseTable.mostChanges)
        #expect(zip(table.changes, table.changes.dropFirst()).allSatisfy { $1.version == $0.version + 1 })
        #expect(table.changes(after: 24_990)?.count == 10 && table.changes(after: 1) == nil)
    }

    @Test func `the later word of the instance itself stays, whoever brings an earlier one`() throws {
        var table = table()
        var instance = RegisteredInstance.example()
        instance.hostName = "new"
        instance.lastDirtyAt = 2_000
        try table.register(instance, isReplicated: false, at: after(0))
        try table.register(.example(), isReplicated: true, at: after(1))
        #expect(table[RegistryLeaseTests.key]?.instance.hostName == "new")
    }

    @Test func `who registers again does not undo what it was told, unless a peer says so`() throws {
        var table = table()
        try table.register(.example(status: .outOfService), isReplicated: false, at: after(0))
        try table.register(.example(), isReplicated: false, at: after(1))
        #expect(table[RegistryLeaseTests.key]?.instance.status == .outOfService)
        try table.register(.example(), isReplicated: true, at: after(2))
        #expect(table[RegistryLeaseTests.key]?.instance.status == .up)
    }

    // MARK: Preservation

    /// So many instances, of which all renew for two minutes, and from then on only some.
    private func table(of count: Int, alive: Int, rule: Preservation.Rule, until end: Int64) throws -> (LeaseTable, evicted: Int) {
        var table = table(preservation: rule)
        for number in 0..<count { try table.register(.example("\(number)"), isReplicated: false, at: after(0)) }
        var evicted = 0
        for second in stride(from: Int64(30), through: end, by: 30) {
            for number in 0..<(second <= 120 ? count : alive) {
                _ = table.renew(.init(app: "SHOP", id: "\(number)"), dirtyAt: nil, isReplicated: false, at: after(second))
            }
            evicted += table.evict(at: after(second, 500))
        }
        return (table, evicted)
    }

    @Test func `where many stop at once nobody is evicted, and the state says so`() throws {
        var (table, evicted) = try table(of: 20, alive: 10, rule: .init(), until: 360)
        #expect(evicted == 0 && table.count == 20)
        let state = table.preservationState(at: after(360, 500))
        #expect(state.isActive && state.isWatching && state.threshold == 34 && state.renewals == 20)
    }

    @Test func `where few stop they are evicted`() throws {
        let (table, evicted) = try table(of: 20, alive: 18, rule: .init(), until: 360)
        #expect(evicted == 2 && table.count == 18)
    }

    @Test func `in a small registry, or where it is not wanted, everybody is evicted who does not renew`() throws {
        #expect(try table(of: 19, alive: 0, rule: .init(), until: 360).evicted == 19)
        #expect(try table(of: 40, alive: 1, rule: .init(isEnabled: false), until: 360).evicted == 39)
    }

    @Test func `nobody is kept for longer than the rule says`() throws {
        let (table, evicted) = try table(of: 20, alive: 10, rule: .init(longest: .minutes(5)), until: 720)
        #expect(evicted == 10 && table.count == 10)
    }

    // MARK: What peers are told

    @Test func `of what a peer has not heard only what still matters is kept`() {
        var pending = PendingReplications()
        func add(_ action: Replication.Action, _ id: String = "a", at second: Int64 = 0) {
            pending.add(Replication(action: action, key: .init(app: "SHOP", id: id), at: after(second)))
        }
        for action in [Replication.Action.heartbeat, .heartbeat, .register, .heartbeat, .statusUpdate, .deleteStatusOverride] {
            add(action)
        }
        add(.heartbeat, "b")
        add(.statusUpdate, "b")
        add(.heartbeat, "c")
        add(.cancel, "c", at: 50)
        #expect(pending.take(atMost: 2).map(\.action) == [.register, .deleteStatusOverride])
        pending.forget(before: after(10))
        #expect(pending.take(atMost: 10).map(\.action) == [.cancel] && pending.isEmpty)
        for number in 0..<50_000 { add(.cancel, "\(number)") }
        #expect(pending.count == 20_000)
    }

    @Test func `an end and what was taken back are told before what begins anew`() {
        var pending = PendingReplications()
        func add(_ action: Replication.Action, _ id: String) {
            pending.add(Replication(action: action, key: .init(app: "SHOP", id: id), at: after(0)))
        }
        for action in [Replication.Action.cancel, .register, .heartbeat, .register] { add(action, "a") }
        for action in [Replication.Action.deleteStatusOverride, .register, .register] { add(action, "b") }
        #expect(pending.hasRegistration(of: .init(app: "SHOP", id: "a")) && !pending.hasRegistration(of: .init(app: "SHOP", id: "c")))
        #expect(pending.take(atMost: 10).map(\.action) == [.cancel, .register, .deleteStatusOverride, .register])
    }

    @Test func `a status that a peer says was decreed is taken over, but not against what was changed here just before`() throws {
        var table = table()
        try table.register(.example(), isReplicated: false, at: after(0))
        table.adopt(override: .outOfService, of: RegistryLeaseTests.key, at: after(1))
        #expect(table[RegistryLeaseTests.key]?.instance.status == .outOfService)
        #expect(table[RegistryLeaseTests.key]?.instance.overriddenStatus == .outOfService)
        _ = table.removeOverride(RegistryLeaseTests.key, status: .up, dirtyAt: nil, at: after(2))
        table.adopt(override: .outOfService, of: RegistryLeaseTests.key, at: after(3))
        #expect(table[RegistryLeaseTests.key]?.instance.status == .up)
        table.adopt(override: .outOfService, of: RegistryLeaseTests.key, at: after(122))
        #expect(table[RegistryLeaseTests.key]?.instance.status == .outOfService)
    }

    @Test func `who renews every 40 seconds is expected one and a half times a minute`() throws {
        var table = table()
        for number in 0..<20 {
            var instance = RegisteredInstance.example("\(number)")
            instance.lease.renewalSeconds = 40
            try table.register(instance, isReplicated: false, at: after(0))
        }
        // Of 30 renewals 85 in a hundred.
        #expect(table.preservationState(at: after(61)).threshold == 26)
    }

    // MARK: Names in XML

    @Test(arguments: [
        "zone", "a_b", "a__b", "_", "__", "_-x", "_.0041", "$x_$", "7days", "-", "a b/<c>", "ключ\u{1F3AB}", "x_", "_7", "a_ь",
    ])
    func `any key is a name in XML, and the same key again`(key: String) throws {
        let name = XMLName.escaped(key)
        #expect(name.wholeMatch(of: /[A-Za-z_][A-Za-z0-9._-]*/) != nil && XMLName.plain(name) == key)
    }
}

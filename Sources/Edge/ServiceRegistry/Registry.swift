import Discovery
import Messaging
import Metrics
import Synchronization
import Values

/// The leases, shared by all that ask and tell, and whoever waits for them to change.
final class Registry: Sendable {
    /// Of this life of the registry: versions of another one mean nothing here.
    let id = String(UInt64.random(in: 0...UInt64.max), radix: 36)
    private let time = SteadyTime()
    private let table: Mutex<LeaseTable>
    private let watchers = Mutex<[UInt64: Signal]>([:])
    private let lastWatcher = Atomic<UInt64>(0)

    private let evictions = Counter(label: "registry_evictions_total")
    private let instances = Gauge(label: "registry_instances")
    private let renewals = Gauge(label: "registry_renewals_last_minute")
    private let threshold = Gauge(label: "registry_renewals_threshold")
    private let isPreserving = Gauge(label: "registry_preservation_active")
    private let streams = Gauge(label: "registry_change_streams")

    init(_ configuration: RegistryConfiguration) {
        table = Mutex(
            LeaseTable(
                preservation: configuration.preservation, limit: configuration.mostInstances, version: Instant.now.milliseconds))
    }

    var now: Instant { time.now }

    /// Reads or changes the leases. Whoever waits for changes is woken if there is one.
    func with<Result: Sendable>(_ body: (inout LeaseTable, Instant) throws -> Result) rethrows -> Result {
        let (result, hasChanged) = try table.withLock { table in
            let before = table.version
            let result = try body(&table, time.now)
            return (result, table.version != before)
        }
        if hasChanged { for watcher in watchers.withLock({ Array($0.values) }) { watcher.send() } }
        return result
    }

    var version: Int64 { table.withLock(\.version) }

    /// Ends the leases whose time is over, and tells the gauges.
    func evict() {
        let (evicted, state, count) = with { table, now in
            (table.evict(at: now), table.preservationState(at: now), table.count)
        }
        if evicted > 0 { evictions.increment(by: evicted) }
        instances.record(count)
        renewals.record(state.renewals)
        threshold.record(state.threshold)
        isPreserving.record(state.isActive ? 1 : 0)
    }

    // MARK: Waiting for changes

    /// Wakes whoever waits for it at every change, until it is let go.
    struct Watch {
        let signal: Signal
        fileprivate let number: UInt64
    }

    func watch() -> Watch {
        let watch = Watch(signal: Signal(), number: lastWatcher.add(1, ordering: .relaxed).newValue)
        let count = watchers.withLock { watchers in
            watchers[watch.number] = watch.signal
            return watchers.count
        }
        streams.record(count)
        return watch
    }

    func end(_ watch: Watch) {
        let count = watchers.withLock { watchers in
            watchers[watch.number] = nil
            return watchers.count
        }
        streams.record(count)
    }
}

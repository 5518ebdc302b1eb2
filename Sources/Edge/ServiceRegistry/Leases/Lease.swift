import Discovery
import Values

/// What the registry holds of an instance: what it says of itself, what was decreed about it, and until when it is believed.
struct Lease: Sendable {
    /// With the status that is in force.
    var instance: RegisteredInstance
    /// A status that an operator has decreed; nil for none.
    var override: RegisteredInstance.Status?
    /// When that was decreed or taken back here; nil for never.
    var overrideChangedAt: Instant?
    var registeredAt: Instant
    var endsAt: Instant

    /// The status that is in force where `reported` is what is said.
    /// - Parameters:
    ///   - lease: that was there before; nil for none.
    ///   - isReplicated: whether a peer says it, which knows what it has decided.
    static func status(
        for reported: RegisteredInstance.Status, override: RegisteredInstance.Status?, after lease: Lease?, isReplicated: Bool
    ) -> RegisteredInstance.Status {
        // Who says that it cannot is believed.
        if reported == .down || reported == .starting { return reported }
        if let override { return override }
        // An instance that registers again does not undo what it was told before.
        if let lease, !isReplicated, lease.instance.status == .up || lease.instance.status == .outOfService {
            return lease.instance.status
        }
        return reported
    }

    mutating func renew(at now: Instant) {
        // Now and no more than its duration: Eureka's own server counts it twice.
        endsAt = now + .seconds(Int64(instance.lease.durationSeconds))
        instance.lease.lastRenewedAt = now.milliseconds
    }

    /// How many renewals are expected in a minute.
    var renewalsPerMinute: Double { 60.0 / Double(max(1, instance.lease.renewalSeconds)) }
}

extension Instant {
    var milliseconds: Int64 { microseconds / 1_000 }
}

/// Time that never jumps: begins with the time of day, and goes on by a clock that nobody sets. A lease must not end because somebody
/// has put the clock right.
struct SteadyTime: Sendable {
    private let begin = Instant.now
    private let beginOfClock = SuspendingClock.now

    var now: Instant {
        let (seconds, attoseconds) = (SuspendingClock.now - beginOfClock).components
        return begin + TimeSpan(microseconds: seconds * 1_000_000 + attoseconds / 1_000_000_000_000)
    }
}

import CoreMetrics
import Synchronization
package import Values

/// Chooses among the instances of one service: of two at random the one with fewer requests in hand. An instance that fails gets no
/// more requests for a while; where all of them fail, all are tried.
package final class Balancer: Sendable {
    /// How a request to an instance ended.
    package enum Outcome: Sendable {
        case answered
        /// It answered and closes the connection: it is about to stop, and what is sent to it now may meet a closed door.
        case leaving
        /// It was not asked, or not given the time to answer.
        case notAsked
        /// Nothing listens there, or nothing was reached: it got no request at all.
        case unreachable
        /// It broke the connection, took too long, or answered with an error of its own.
        case failed
    }

    /// How many failures in a row are one too many.
    package static let patience = 5
    /// How long an instance that was ejected for the first time stays so; doubled each time that it fails again.
    package static let shortestEjection = TimeSpan.seconds(1)
    /// Where nothing listens: it costs next to nothing to ask, and a restart shall be noticed soon.
    package static let longestWhileUnreachable = TimeSpan.seconds(2)
    /// How long one that leaves is left alone: by then it is gone, or was meant otherwise.
    package static let timeToLeave = TimeSpan.seconds(2)
    package static let longestEjection = TimeSpan.seconds(30)

    private struct Place {
        let instance: Instance
        /// One that was taken away is chosen no more, and is kept until its last request has ended: it may come back before.
        var isListed = true
        var inHand = 0
        var failuresInRow = 0
        var ejections = 0
        var ejectedUntil: Instant?
        /// When it said last that it leaves.
        var leftAt: Instant?

        func isEjected(at now: Instant) -> Bool {
            ejectedUntil.map { now < $0 } ?? false
        }
    }

    private let places: Mutex<[Place]>
    private let ejections: Counter
    private let known: Gauge

    package init(_ instances: [Instance], of service: ServiceName) {
        places = Mutex(Balancer.places(for: instances, from: []))
        ejections = Counter(label: "peer_ejections_total", dimensions: [("peer", service.description)])
        known = Gauge(label: "peer_instances", dimensions: [("peer", service.description)])
        known.record(count)
    }

    /// Counts a request as in hand until `ended` is called for it.
    /// - Parameter tried: where it was sent before; another is preferred.
    /// - Returns: nil where the service has no instance at all.
    package func choose(after tried: Set<Instance> = [], at now: Instant = .now) -> Instance? {
        places.withLock { places in
            let indices = places.indices.filter { places[$0].isListed }
            let chosen =
                Balancer.lighter(indices.filter { !places[$0].isEjected(at: now) && !tried.contains(places[$0].instance) }, in: places)
                // Where all leave or are ill, whichever was left alone first may be back.
                ?? indices.filter { !tried.contains(places[$0].instance) && places[$0].leftAt != nil }.min {
                    (places[$0].ejectedUntil ?? now) < (places[$1].ejectedUntil ?? now)
                }
                ?? Balancer.lighter(indices.filter { !tried.contains(places[$0].instance) }, in: places)
                ?? Balancer.lighter(indices, in: places)
            guard let chosen else { return nil }
            places[chosen].inHand += 1
            return places[chosen].instance
        }
    }

    package func ended(_ instance: Instance, _ outcome: Outcome, at now: Instant = .now) {
        places.withLock { places in
            guard let index = places.firstIndex(where: { $0.instance == instance }) else { return }
            places[index].inHand -= 1
            guard places[index].isListed else {
                if places[index].inHand <= 0 { places.remove(at: index) }
                return
            }
            switch outcome {
            case .answered:
                places[index].failuresInRow = 0
                places[index].ejections = 0
                places[index].ejectedUntil = nil
            case .leaving:
                places[index].failuresInRow = 0
                places[index].leftAt = now
                places[index].ejectedUntil = max(places[index].ejectedUntil ?? now, now + Balancer.timeToLeave)
            case .notAsked: break
            case .unreachable:
                eject(&places[index], at: now, atMost: Balancer.longestWhileUnreachable)
            case .failed:
                places[index].failuresInRow += 1
                let ejected = places.count { $0.isListed && $0.isEjected(at: now) }
                // What many instances answer is hardly the fault of one: at most half of them are ejected for it.
                guard places[index].failuresInRow >= Balancer.patience, (ejected + 1) * 2 <= places.count(where: \.isListed) else { return }
                eject(&places[index], at: now, atMost: Balancer.longestEjection)
            }
        }
    }

    /// From now on these are all the instances there are. What is known of those that stay is kept.
    package func replace(with instances: [Instance]) {
        places.withLock { $0 = Balancer.places(for: instances, from: $0) }
        known.record(count)
    }

    private static func places(for instances: [Instance], from known: [Place]) -> [Place] {
        // An address that is named twice is one instance.
        var named: Set<Instance> = []
        let listed = instances.filter { named.insert($0).inserted }.map { instance in
            var place = known.first { $0.instance == instance } ?? Place(instance: instance)
            place.isListed = true
            return place
        }
        let ending = known.filter { !named.contains($0.instance) && $0.inHand > 0 }.map { place in
            var place = place
            place.isListed = false
            return place
        }
        return listed + ending
    }

    /// When an instance said last that it leaves: connections of before are about to be closed. Nil if it never did.
    package func left(_ instance: Instance) -> Instant? {
        places.withLock { places in places.first { $0.instance == instance }?.leftAt }
    }

    /// How many instances there are.
    package var count: Int { places.withLock { $0.count(where: \.isListed) } }

    private func eject(_ place: inout Place, at now: Instant, atMost longest: TimeSpan) {
        // Requests that were on their way together fail together: they count once.
        guard !place.isEjected(at: now) else { return }
        let time = TimeSpan(microseconds: Balancer.shortestEjection.microseconds << min(place.ejections, 5))
        place.ejectedUntil = now + min(time, longest)
        place.ejections += 1
        place.failuresInRow = 0
        ejections.increment()
    }

    private static func lighter(_ candidates: [Int], in places: [Place]) -> Int? {
        guard let one = candidates.randomElement() else { return nil }
        guard let other = candidates.filter({ $0 != one }).randomElement() else { return one }
        return places[other].inHand < places[one].inHand ? other : one
    }
}

/// How many requests may be sent once more: a fifth of all, and a hundred at once after a time without failures. Where everything
/// fails, repeating it would only be more load.
package final class RetryBudget: Sendable {
    private static let share = 0.2
    private static let most = 100.0

    private let balance = Mutex(RetryBudget.most)

    package init() {}

    package func requestIsSent() {
        balance.withLock { $0 = min(RetryBudget.most, $0 + RetryBudget.share) }
    }

    /// Whether there is still one to be had.
    package func take() -> Bool {
        balance.withLock { balance in
            guard balance >= 1 else { return false }
            balance -= 1
            return true
        }
    }
}

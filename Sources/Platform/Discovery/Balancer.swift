import CoreMetrics
import Synchronization
package import Values

/// Chooses among the instances of one service: of two at random the one with fewer requests in hand. An instance that fails gets no
/// more requests for a while. Where all of them fail all are tried; where none of them answers at all, one request after another (`Circuit`).
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
        /// It broke the connection, or took too long: whoever asked has waited for nothing.
        case silent
        /// It answered with an error of its own.
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
        /// How many requests in a row it has left without an answer.
        var silencesInRow = 0
        /// Nothing listened there when it was asked last.
        var isUnreachable = false
        /// How long it took for its last answers, the newest counting most.
        var latency: TimeSpan?

        var isSilent: Bool { silencesInRow >= Balancer.patience }

        func isEjected(at now: Instant) -> Bool {
            ejectedUntil.map { now < $0 } ?? false
        }

        /// What is remembered of it beside ejections.
        mutating func note(_ outcome: Outcome, after time: TimeSpan?) {
            switch outcome {
            case .notAsked: break
            case .answered, .leaving, .failed:
                silencesInRow = 0
                isUnreachable = false
                guard let time else { return }
                latency = latency.map { TimeSpan(microseconds: ($0.microseconds * 7 + time.microseconds) / 8) } ?? time
            case .silent:
                silencesInRow += 1
                isUnreachable = false
            case .unreachable:
                silencesInRow = Balancer.isLong(time) ? silencesInRow + 1 : 0
                isUnreachable = true
            }
        }
    }

    private struct State {
        var places: [Place]
        var circuit = Circuit()

        /// Whether whoever is asked will be waited for in vain. Where nothing listens that is known at once, and costs nothing to find out.
        var isDown: Bool {
            var isSilent = false
            for place in places where place.isListed {
                guard place.isSilent || place.isUnreachable else { return false }
                if place.isSilent { isSilent = true }
            }
            return isSilent
        }
    }

    /// An instance that was not reached for so long was waited for.
    private static let longestRefusal = TimeSpan.milliseconds(500)

    private let state: Mutex<State>
    private let ejections: Counter
    private let known: Gauge
    private let isOpen: Gauge

    package init(_ instances: [Instance], of service: ServiceName) {
        state = Mutex(State(places: Balancer.places(for: instances, from: [])))
        ejections = Counter(label: "peer_ejections_total", dimensions: [("peer", service.description)])
        known = Gauge(label: "peer_instances", dimensions: [("peer", service.description)])
        isOpen = Gauge(label: "peer_circuit_open", dimensions: [("peer", service.description)])
        known.record(count)
        isOpen.record(0)
    }

    /// Counts a request as in hand until `ended` is called for it.
    /// - Parameter tried: where it was sent before; another is preferred.
    /// - Returns: nil where the service has no instance at all, or is not asked for `closedFor`.
    package func choose(after tried: Set<Instance> = [], at now: Instant = .now) -> Instance? {
        state.withLock { state in
            guard state.circuit.letsThrough(at: now) else { return nil }
            guard let chosen = Balancer.choose(among: state.places, after: tried, at: now) else { return nil }
            state.places[chosen].inHand += 1
            state.circuit.asks(state.places[chosen].instance, at: now)
            return state.places[chosen].instance
        }
    }

    private static func choose(among places: [Place], after tried: Set<Instance>, at now: Instant) -> Int? {
        if places.count == 1 { return places[0].isListed ? 0 : nil }
        let indices = places.indices.filter { places[$0].isListed }
        guard indices.count > 1 else { return indices.first }
        return lighter(indices.filter { !places[$0].isEjected(at: now) && !tried.contains(places[$0].instance) }, in: places)
            // Where all leave or are ill, whichever was left alone first may be back.
            ?? indices.filter { !tried.contains(places[$0].instance) && places[$0].leftAt != nil }.min {
                (places[$0].ejectedUntil ?? now) < (places[$1].ejectedUntil ?? now)
            }
            ?? lighter(indices.filter { !tried.contains(places[$0].instance) }, in: places)
            ?? lighter(indices, in: places)
    }

    /// How long nobody is asked because nobody answers; nil where instances are asked.
    package func closedFor(at now: Instant = .now) -> TimeSpan? {
        state.withLock { $0.circuit.wait(at: now) }
    }

    /// Of an answer that may go on for long: somebody is there, whatever becomes of it. `ended` is still to be called.
    package func answerBegan(_ instance: Instance, at now: Instant = .now) {
        state.withLock { state in
            guard let index = state.places.firstIndex(where: { $0.instance == instance }) else { return }
            state.places[index].note(.answered, after: nil)
            heard(from: instance, wasInVain: false, in: &state, at: now)
        }
    }

    /// - Parameter time: how long it took until its answer began, or nothing more was waited for.
    package func ended(_ instance: Instance, _ outcome: Outcome, after time: TimeSpan? = nil, at now: Instant = .now) {
        state.withLock { state in
            note(outcome, of: instance, after: time, in: &state.places, at: now)
            let wasInVain = outcome == .silent || outcome == .unreachable && Balancer.isLong(time)
            heard(from: instance, wasInVain: wasInVain, in: &state, at: now)
        }
    }

    private func heard(from instance: Instance, wasInVain: Bool, in state: inout State, at now: Instant) {
        let before = state.circuit.phase
        state.circuit.heard(from: instance, wasInVain: wasInVain, isDown: state.isDown, at: now)
        if state.circuit.phase != before { isOpen.record(state.circuit.phase == .closed ? 0 : 1) }
    }

    private func note(_ outcome: Outcome, of instance: Instance, after time: TimeSpan?, in places: inout [Place], at now: Instant) {
        guard let index = places.firstIndex(where: { $0.instance == instance }) else { return }
        places[index].inHand -= 1
        guard places[index].isListed else {
            if places[index].inHand <= 0 { places.remove(at: index) }
            return
        }
        places[index].note(outcome, after: time)
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
        case .failed, .silent:
            places[index].failuresInRow += 1
            let ejected = places.count { $0.isListed && $0.isEjected(at: now) }
            // What many instances answer is hardly the fault of one: at most half of them are ejected for it.
            guard places[index].failuresInRow >= Balancer.patience, (ejected + 1) * 2 <= places.count(where: \.isListed) else { return }
            eject(&places[index], at: now, atMost: Balancer.longestEjection)
        }
    }

    /// From now on these are all the instances there are. What is known of those that stay is kept.
    package func replace(with instances: [Instance]) {
        state.withLock { state in
            state.places = Balancer.places(for: instances, from: state.places)
            if !state.isDown { state.circuit = Circuit() }
            isOpen.record(state.circuit.phase == .closed ? 0 : 1)
        }
        known.record(count)
    }

    private static func isLong(_ time: TimeSpan?) -> Bool { time.map { $0 >= longestRefusal } ?? false }

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
        state.withLock { state in state.places.first { $0.instance == instance }?.leftAt }
    }

    /// How many instances there are.
    package var count: Int { state.withLock { $0.places.count(where: \.isListed) } }

    /// What is known of one instance.
    package struct Known: Sendable {
        package let instance: Instance
        package let inHand: Int
        package let failuresInRow: Int
        /// Until then it gets nothing while another does.
        package let ejectedUntil: Instant?
        /// How long its last answers took; nil before the first.
        package let latency: TimeSpan?
    }

    /// For whoever watches: all instances there are, and whether they are asked.
    package func report(at now: Instant = .now) -> (circuit: Circuit.Phase, instances: [Known]) {
        state.withLock { state in
            let known = state.places.filter(\.isListed).map { place in
                Known(
                    instance: place.instance, inHand: place.inHand, failuresInRow: place.failuresInRow,
                    ejectedUntil: place.isEjected(at: now) ? place.ejectedUntil : nil, latency: place.latency)
            }
            return (state.circuit.phase, known)
        }
    }

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
        guard candidates.count > 1 else { return candidates.first }
        var random = QuickRandom()
        let one = Int.random(in: candidates.indices, using: &random)
        // Any but the one.
        let next = Int.random(in: candidates.indices.dropLast(), using: &random)
        let other = next < one ? next : next + 1
        return places[candidates[other]].inHand < places[candidates[one]].inHand ? candidates[other] : candidates[one]
    }
}

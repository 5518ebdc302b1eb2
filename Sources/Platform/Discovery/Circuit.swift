package import Values

/// Whether a service is asked at all. Where each instance leaves requests without an answer, waiting for them helps nobody: the circuit opens,
/// requests are refused at once, and one at a time is let through to find out whether it is over.
///
/// Only silence opens it. An answer, whatever it says, came without a long wait, and one bad request must not close a service to all.
package struct Circuit: Sendable {
    package enum Phase: String, Sendable {
        case closed
        /// Nobody is asked.
        case open
        /// One request is on its way to find out.
        case trying
    }

    /// How long nobody is asked after it opened; doubled each time that the next one waits in vain.
    package static let shortest = TimeSpan.seconds(1)
    package static let longest = TimeSpan.seconds(10)

    private enum State {
        case closed
        case open(until: Instant, times: Int)
        case trying(Instance, times: Int, since: Instant)
    }

    private var state = State.closed

    var phase: Phase {
        switch state {
        case .closed: .closed
        case .open: .open
        case .trying: .trying
        }
    }

    func letsThrough(at now: Instant) -> Bool {
        switch state {
        case .closed: true
        case .open(let until, _): now >= until
        // One that takes its time, such as a long upload, does not keep all others away.
        case .trying(_, _, let since): now >= since + Circuit.longest
        }
    }

    /// How long the next request has to wait; nil where it has not.
    func wait(at now: Instant) -> TimeSpan? {
        switch state {
        case .closed: nil
        case .open(let until, _): now < until ? until - now : nil
        case .trying(_, _, let since): now >= since + Circuit.longest ? nil : Circuit.shortest
        }
    }

    /// A request that was let through goes there.
    mutating func asks(_ instance: Instance, at now: Instant) {
        switch state {
        case .closed: break
        case .open(_, let times), .trying(_, let times, _): state = .trying(instance, times: times, since: now)
        }
    }

    /// - Parameters:
    ///   - wasInVain: whether an answer was waited for that did not come.
    ///   - isDown: whether all that is known now says that none answers.
    mutating func heard(from instance: Instance, wasInVain: Bool, isDown: Bool, at now: Instant) {
        guard isDown else {
            state = .closed
            return
        }
        switch state {
        case .closed: state = .open(until: now + Circuit.shortest, times: 1)
        case .trying(instance, let times, _) where wasInVain:
            let time = TimeSpan(microseconds: Circuit.shortest.microseconds << min(times, 5))
            state = .open(until: now + min(time, Circuit.longest), times: times + 1)
        // It found out nothing: the next one may.
        case .trying(instance, let times, _): state = .open(until: now, times: times)
        case .open, .trying: break
        }
    }
}

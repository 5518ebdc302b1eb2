import Synchronization

/// Where publishers hand messages to the consumer of a queue in the same process, with no row in between.
final class Desk: Sendable {
    private struct State {
        var isOpen = false
        var waiting: [Parcel] = []
        var inHand: Parcel?
    }

    /// Wakes the consumer.
    let signal = Signal()
    /// How long a publisher waits, so that a consumer which is held up does not hold up the others.
    private let patience: Duration
    private let state = Mutex(State())

    init(patience: Duration) {
        self.patience = patience
    }

    /// For publishers. Returns when the consumer has handled the messages, or it is clear that it will take its time: nobody is here, or
    /// somebody has waited in vain.
    func handOver(_ messages: [Message]) async -> Parcel {
        let parcel = Parcel(messages)
        let isTaken = state.withLock { state in
            guard state.isOpen, state.inHand?.isKept != true, !state.waiting.contains(where: \.isKept) else { return false }
            state.waiting.append(parcel)
            return true
        }
        if isTaken {
            signal.send()
            await parcel.wait(atMost: patience)
        }
        return parcel
    }

    /// For the consumer, of which there is one: parcels come from now on.
    func open() {
        state.withLock { state in
            precondition(!state.isOpen, "a queue has one consumer in a process")
            state.isOpen = true
        }
    }

    func close() {
        let left = state.withLock { state in
            defer { state = State() }
            return state.waiting
        }
        for parcel in left { parcel.refuse() }
    }

    /// What comes next, into the consumer's hand.
    func next() -> Parcel? {
        state.withLock { state in
            while !state.waiting.isEmpty {
                let parcel = state.waiting.removeFirst()
                guard !parcel.isKept else { continue }
                state.inHand = parcel
                return parcel
            }
            return nil
        }
    }

    /// False where the publisher has kept the messages meanwhile, so that the outcomes are to be recorded.
    func finish(_ parcel: Parcel, _ outcomes: [Outcome]) -> Bool {
        state.withLock { $0.inHand = nil }
        return parcel.finish(outcomes)
    }
}

/// Messages that a publisher hands over together.
final class Parcel: Sendable {
    private struct State {
        /// The publisher waits no longer, and keeps what is not handled.
        var isKept = false
        /// Also those that come too late.
        var outcomes: [Outcome]?
    }

    let messages: [Message]
    private let state = Mutex(State())
    private let end = Signal()

    fileprivate init(_ messages: [Message]) {
        self.messages = messages
    }

    /// What became of the messages, by now.
    var outcomes: [Outcome]? { state.withLock { $0.outcomes } }

    fileprivate var isKept: Bool { state.withLock { $0.isKept } }

    fileprivate func finish(_ outcomes: [Outcome]) -> Bool {
        let isAwaited = state.withLock { state in
            state.outcomes = outcomes
            return !state.isKept
        }
        end.send()
        return isAwaited
    }

    fileprivate func refuse() {
        state.withLock { $0.isKept = true }
        end.send()
    }

    fileprivate func wait(atMost limit: Duration) async {
        await end.wait(atMost: limit)
        state.withLock { $0.isKept = $0.outcomes == nil }
    }
}

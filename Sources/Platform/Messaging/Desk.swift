import Synchronization

/// Where publishers hand messages to the consumer of a queue in the same process, with no row in between.
final class Desk: Sendable {
    private struct State {
        var consumers = 0
        var waiting: [Parcel] = []
        var inHand: [Parcel] = []
    }

    /// How long a publisher waits, so that a consumer which is held up does not hold up the others.
    private static let patience = Duration.seconds(1)

    /// Wakes the consumer.
    let signal = Signal()
    private let state = Mutex(State())

    /// For publishers. Nil where the messages have to be kept: nobody is here, or did not handle them in time. They may be handled all
    /// the same.
    func handOver(_ messages: [Message]) async -> [Outcome]? {
        let parcel = Parcel(messages)
        let isTaken = state.withLock { state in
            guard state.consumers > 0, !state.inHand.contains(where: \.isKept) else { return false }
            state.waiting.append(parcel)
            return true
        }
        guard isTaken else { return nil }
        signal.send()
        return await parcel.outcomes(atMost: Desk.patience)
    }

    /// For the consumer: parcels come from now on.
    func open() {
        state.withLock { $0.consumers += 1 }
    }

    func close() {
        let left = state.withLock { state in
            state.consumers -= 1
            guard state.consumers == 0 else { return [Parcel]() }
            defer { state.waiting = [] }
            return state.waiting
        }
        for parcel in left { parcel.refuse() }
    }

    /// What comes next, into the consumer's hand.
    func next() -> Parcel? {
        state.withLock { state in
            while !state.waiting.isEmpty {
                let parcel = state.waiting.removeFirst()
                guard parcel.take() else { continue }
                state.inHand.append(parcel)
                return parcel
            }
            return nil
        }
    }

    /// False where the publisher has kept the messages meanwhile, so that the outcomes are to be recorded.
    func finish(_ parcel: Parcel, _ outcomes: [Outcome]) -> Bool {
        state.withLock { state in state.inHand.removeAll { $0 === parcel } }
        return parcel.finish(outcomes)
    }
}

/// Messages that a publisher hands over together.
final class Parcel: Sendable {
    private enum State {
        case waiting, inHand
        case handled([Outcome])
        /// The publisher waits no longer.
        case kept
    }

    let messages: [Message]
    private let state = Mutex(State.waiting)
    private let end = Signal()

    init(_ messages: [Message]) {
        self.messages = messages
    }

    fileprivate var isKept: Bool {
        state.withLock { if case .kept = $0 { true } else { false } }
    }

    fileprivate func take() -> Bool {
        state.withLock { state in
            guard case .waiting = state else { return false }
            state = .inHand
            return true
        }
    }

    fileprivate func finish(_ outcomes: [Outcome]) -> Bool {
        let isAwaited = state.withLock { state in
            if case .kept = state { return false }
            state = .handled(outcomes)
            return true
        }
        end.send()
        return isAwaited
    }

    fileprivate func refuse() {
        state.withLock { $0 = .kept }
        end.send()
    }

    fileprivate func outcomes(atMost limit: Duration) async -> [Outcome]? {
        await end.wait(atMost: limit)
        return state.withLock { state in
            if case .handled(let outcomes) = state { return outcomes }
            state = .kept
            return nil
        }
    }
}

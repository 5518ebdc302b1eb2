/// What a publisher has to do on one connection: which letters are to be sent, which wait for the server's word, what the server
/// has said. It does no input or output.
struct PublisherWork {
    private struct Sent {
        let batch: Batch
        let letter: OutgoingLetter
    }

    /// What a returned message is known by.
    private struct Returned: Hashable {
        let messageID: String
        let key: String
    }

    private let room: Int
    private var batches: [Batch] = []
    /// Those that are not sent completely, and how much of the first one is.
    private var unsent: [Batch] = []
    private var position = 0
    private var inFlight = Confirms<Sent>()
    private var returned: Set<Returned> = []
    private var lacksQueue = false
    /// Why the server takes nothing in.
    private var block: String?

    /// - Parameter room: how many messages may wait for their confirmation.
    init(room: Int) {
        self.room = room
    }

    var isBlocked: Bool { block != nil }

    /// One without messages asks whether any could be sent.
    mutating func add(_ arrived: [Batch]) {
        for batch in arrived {
            if !batch.letters.isEmpty {
                batches.append(batch)
                unsent.append(batch)
            } else if let block {
                batch.end(.failure(RabbitMQError.blocked(reason: block)))
            } else {
                batch.end(.success(()))
            }
        }
    }

    var isReadyToSend: Bool { block == nil && inFlight.count < room && !unsent.isEmpty }

    /// What is to be sent next, as if it were.
    mutating func next() -> OutgoingLetter? {
        while let batch = unsent.first {
            guard !batch.isOver, position < batch.letters.count else {
                unsent.removeFirst()
                position = 0
                continue
            }
            let letter = batch.letters[position]
            position += 1
            inFlight.add(Sent(batch: batch, letter: letter))
            return letter
        }
        return nil
    }

    mutating func take(_ event: AMQPEvent) {
        switch event {
        case .confirmed(let number, let isMultiple):
            for sent in inFlight.take(number, isMultiple: isMultiple) {
                let key = Returned(messageID: "\(sent.letter.letter.id)", key: sent.letter.key)
                let isReturned = sent.letter.isMandatory && returned.remove(key) != nil
                if isReturned { lacksQueue = true }
                sent.batch.settle(isReturned ? RabbitMQError.unroutable(event: sent.letter.letter.name) : nil)
            }
        case .refused(let number, let isMultiple):
            for sent in inFlight.take(number, isMultiple: isMultiple) {
                sent.batch.settle(RabbitMQError.refused(event: sent.letter.letter.name))
            }
        case .returned(let messageID, let key): returned.insert(Returned(messageID: messageID, key: key))
        case .blocked(let reason): block = reason
        case .unblocked: block = nil
        case .delivered, .consumerCanceled: break
        }
    }

    /// Whether a message came back since the last time: then a queue is missing that was there before.
    mutating func takeLackOfQueue() -> Bool {
        defer { lacksQueue = false }
        return lacksQueue
    }

    /// Fails batches whose time is over, and forgets those that are done with.
    mutating func dropLate() {
        let now = ContinuousClock.now
        for batch in batches where batch.end <= now {
            batch.end(.failure(block.map { RabbitMQError.blocked(reason: $0) } ?? RabbitMQError.late))
        }
        batches.removeAll { $0.isOver }
        while let first = unsent.first, first.isOver {
            unsent.removeFirst()
            position = 0
        }
    }

    /// How long until a batch is late.
    var untilLate: Duration {
        batches.map { $0.end - .now }.min() ?? .seconds(60)
    }

    /// Fails whatever is left.
    mutating func end(_ error: any Error) {
        for batch in batches { batch.end(.failure(error)) }
        batches = []
        unsent = []
    }
}

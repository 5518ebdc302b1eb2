import Glibc
import Values

/// What an operator looks at. While somebody looks, the dead letters are in that hand, and another sees fewer of them.
extension RabbitMQBroker {
    /// How long replayed messages may take to be confirmed.
    private static let replayLimit = Duration.seconds(30)

    package func deadLetters(in queue: String?, limit: Int) async throws -> [DeadLetter] {
        let queues = queueNames.filter { queue == nil || $0 == queue }
        return try await withConnection { connection in
            var letters: [DeadLetter] = []
            var taken: [String: Int] = [:]
            for queue in queues {
                let dead = RabbitMQTopology.deadLetters(of: queue)
                var count = 0
                while count < limit, let delivery = try connection.take(from: dead) {
                    taken[dead, default: 0] += 1
                    guard let letter = delivery.letter else { continue }
                    count += letter.messages.count
                    letters += letter.messages.map { message in
                        DeadLetter(
                            queue: queue, message: message, reason: letter.reason ?? "", attempts: letter.attempts,
                            published: letter.published)
                    }
                }
            }
            try RabbitMQBroker.giveBack(taken, on: connection)
            return Array(letters.sorted { ($0.published, $0.message.id) < ($1.published, $1.message.id) }.prefix(limit))
        }
    }

    package func replay(_ ids: [MessageID]?, in queue: String) async throws -> Int {
        try await withDeadLetters(ids, in: queue) { deliveries, connection in
            try connection.selectConfirms()
            var unconfirmed = Confirms<AMQPDelivery>()
            for delivery in deliveries {
                guard let letter = delivery.letter else { continue }
                try connection.publish(letter.fresh, to: RabbitMQTopology.direct, key: queue, isMandatory: true)
                unconfirmed.add(delivery)
            }
            return try RabbitMQBroker.acknowledge(&unconfirmed, on: connection)
        }
    }

    package func discard(_ ids: [MessageID]?, in queue: String) async throws -> Int {
        try await withDeadLetters(ids, in: queue) { deliveries, connection in
            for delivery in deliveries { try connection.acknowledge(delivery.tag) }
            return deliveries.count
        }
    }

    package func queues() async throws -> [QueueState] {
        let (queues, topology) = (queueNames, topology)
        return try await withConnection { connection in
            try queues.map { queue in
                QueueState(
                    name: queue, ready: try connection.count(in: queue),
                    waiting: try topology.waitingRooms(of: queue).map { try connection.count(in: $0) }.reduce(0, +),
                    dead: try connection.count(in: RabbitMQTopology.deadLetters(of: queue)))
            }
        }
    }

    /// Takes those that are there now in hand, and gives back what `body` has not acknowledged. A queue that was never declared has none.
    private func withDeadLetters(
        _ ids: [MessageID]?, in queue: String, _ body: @escaping @Sendable ([AMQPDelivery], AMQPConnection) throws -> Int
    ) async throws -> Int {
        guard queueNames.contains(queue) else { return 0 }
        let dead = RabbitMQTopology.deadLetters(of: queue)
        let chosen = ids.map(Set.init)
        return try await withConnection { connection in
            var deliveries: [AMQPDelivery] = []
            for _ in 0..<(try connection.count(in: dead)) {
                guard let delivery = try connection.take(from: dead) else { break }
                deliveries.append(delivery)
            }
            let count = try body(
                deliveries.filter { delivery in
                    guard let chosen else { return true }
                    return delivery.letter.map { $0.messages.allSatisfy { chosen.contains($0.id) } } ?? false
                }, connection)
            try RabbitMQBroker.giveBack([dead: deliveries.count - count], on: connection)
            return count
        }
    }

    /// Gives back what is in hand of each queue, and waits for a moment until it is there again: whoever looks next shall see it.
    private static func giveBack(_ taken: [String: Int], on connection: AMQPConnection) throws {
        let expected = try taken.map { queue, count in (queue, try connection.count(in: queue) + count) }
        try connection.release()
        let end = ContinuousClock.now + .seconds(1)
        for (queue, count) in expected {
            while try connection.count(in: queue) < count, ContinuousClock.now < end { usleep(5_000) }
        }
    }

    /// Lets go of each dead letter whose copy the server has stored. Returns how many.
    private static func acknowledge(_ unconfirmed: inout Confirms<AMQPDelivery>, on connection: AMQPConnection) throws -> Int {
        let end = ContinuousClock.now + replayLimit
        let bell = WakePipe()
        var count = 0
        while unconfirmed.count > 0 {
            guard ContinuousClock.now < end else { throw RabbitMQError.late }
            while let event = try connection.nextEvent() {
                switch event {
                case .confirmed(let number, let isMultiple):
                    for delivery in unconfirmed.take(number, isMultiple: isMultiple) {
                        try connection.acknowledge(delivery.tag)
                        count += 1
                    }
                case .refused(let number, let isMultiple):
                    for delivery in unconfirmed.take(number, isMultiple: isMultiple) {
                        throw RabbitMQError.refused(event: delivery.letter?.name ?? "")
                    }
                case .returned(_, let key): throw RabbitMQError.unroutable(event: key)
                case .blocked(let reason): throw RabbitMQError.blocked(reason: reason)
                case .delivered, .consumerCanceled, .unblocked: break
                }
            }
            if unconfirmed.count > 0 { connection.wait(for: bell, orToWrite: false, atMost: end - .now) }
        }
        return count
    }
}

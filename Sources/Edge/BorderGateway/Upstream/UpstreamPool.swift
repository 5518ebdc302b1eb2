import Discovery
import NIOCore
import NIOHTTP1
import NIOPosix
import Values

/// Connections to instances, kept open on one event loop: a request and its answer never change threads. Only to be used on that loop.
final class UpstreamPool {
    /// Of one instance on one loop. More wait for nothing: they are told that it is busy.
    private static let mostConnections = 2_048
    private static let connectLimit = TimeAmount.seconds(1)
    /// Servers that close what is not in use after five seconds are many; this end comes before them, so that no request meets a closed door.
    static let idleLimit = TimeSpan.seconds(4)

    /// The connections to one instance.
    private final class Place {
        var idle: [UpstreamConnection] = []
        var open = 0
    }

    private let loop: any EventLoop
    private var places: [Instance: Place] = [:]
    private var isSweepDue = false

    init(_ loop: any EventLoop) {
        self.loop = loop
    }

    /// - Parameters:
    ///   - left: when the instance said last that it closes its connections.
    ///   - done: is called on the loop, perhaps at once.
    func connection(to instance: Instance, after left: Instant?, _ done: @escaping (Result<UpstreamConnection, any Error>) -> Void) {
        let oldest = max(.now - UpstreamPool.idleLimit, left ?? Instant(microseconds: 0))
        let place = place(of: instance)
        while let known = place.idle.popLast() {
            if known.isUsable, known.idleSince > oldest { return done(.success(known)) }
            known.close()
        }
        guard place.open < UpstreamPool.mostConnections else { return done(.failure(UpstreamBusy())) }
        place.open += 1
        let connection = UpstreamConnection(instance)
        let bound = NIOLoopBound(connection, eventLoop: loop)
        let whenDone = NIOLoopBound(done, eventLoop: loop)
        let boundPlace = NIOLoopBound(place, eventLoop: loop)
        ClientBootstrap(group: loop)
            .connectTimeout(UpstreamPool.connectLimit)
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            .channelOption(.autoRead, value: false)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(bound.value) }
            }
            .connect(host: instance.host, port: instance.port)
            .whenComplete { result in
                switch result {
                case .success(let channel):
                    channel.closeFuture.whenComplete { _ in boundPlace.value.open -= 1 }
                    whenDone.value(.success(bound.value))
                case .failure(let error):
                    boundPlace.value.open -= 1
                    whenDone.value(.failure(error))
                }
            }
    }

    private func place(of instance: Instance) -> Place {
        if let known = places[instance] { return known }
        let place = Place()
        places[instance] = place
        return place
    }

    /// Takes back a connection whose answer has ended.
    func keep(_ connection: UpstreamConnection) {
        guard !connection.saysTooMuch else { return connection.close() }
        guard connection.isUsable else {
            connection.close()
            // An instance that closes one is about to stop, and will close the others: perhaps just when a request is on its way there.
            return closeIdle(of: connection.instance)
        }
        connection.rest()
        place(of: connection.instance).idle.append(connection)
        if !isSweepDue { sweepLater() }
    }

    private func sweepLater() {
        isSweepDue = true
        after(UpstreamPool.idleLimit) { [weak self] in self?.sweep() }
    }

    /// Closes what was not in use for too long, and what the other end has closed.
    private func sweep() {
        isSweepDue = false
        let oldest = Instant.now - UpstreamPool.idleLimit
        for place in places.values {
            let over = place.idle.filter { !$0.isUsable || $0.idleSince <= oldest }
            place.idle.removeAll { !$0.isUsable || $0.idleSince <= oldest }
            for connection in over { connection.close() }
        }
        places = places.filter { $0.value.open > 0 || !$0.value.idle.isEmpty }
        if places.values.contains(where: { !$0.idle.isEmpty }) { sweepLater() }
    }

    /// How many connections are open and not in use.
    var idle: [Instance: Int] { places.mapValues { $0.idle.count { $0.isUsable } } }

    /// Does something later on this loop.
    func after(_ time: TimeSpan, _ body: @escaping () -> Void) {
        let bound = NIOLoopBound(body, eventLoop: loop)
        loop.scheduleTask(in: .microseconds(time.microseconds)) { bound.value() }
    }

    /// Closes what is not in use.
    func closeIdle() {
        for instance in places.keys { closeIdle(of: instance) }
    }

    /// The same of one instance.
    func closeIdle(of instance: Instance) {
        guard let place = places[instance] else { return }
        let idle = place.idle
        place.idle = []
        for connection in idle { connection.close() }
    }
}

/// An instance has as many requests in hand as it may have.
struct UpstreamBusy: Error {}

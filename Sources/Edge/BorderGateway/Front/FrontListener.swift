package import Logging
import NIOCore
import NIOHTTP1
import NIOHTTP2
import NIOPosix
import NIOSSL
import ServiceLifecycle
import Synchronization
import Values

/// Accepts clients' connections and gives each to the gateway.
package struct FrontListener: Service {
    /// How long requests in hand may take after everything was asked to stop.
    private static let stopTime = TimeAmount.seconds(15)

    /// How often it is looked whether the certificate was replaced.
    private static let certificateInterval = Duration.seconds(2)
    /// Of one connection of HTTP/2.
    private static let mostStreams = 100

    private let host: String
    private let port: Int
    private let gateway: Gateway
    private let certificate: ServerCertificate?
    private let logger: Logger
    private let onReady: @Sendable (Int) -> Void
    private let connections = Connections()

    /// - Parameters:
    ///   - port: 0 takes a free one.
    ///   - certificate: for TLS, with HTTP/2 where the client wants it; nil for neither.
    ///   - onReady: is told the port once connections are accepted.
    package init(
        host: String, port: Int, gateway: Gateway, certificate: ServerCertificate? = nil, logger: Logger,
        onReady: @escaping @Sendable (Int) -> Void = { _ in }
    ) {
        self.host = host
        self.port = port
        self.gateway = gateway
        self.certificate = certificate
        self.logger = logger
        self.onReady = onReady
    }

    package func run() async throws {
        try gateway.firewall.open(gateway.policy.configuration.firewall)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 4_096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            // A handshake reads by itself.
            .childChannelOption(.autoRead, value: certificate != nil)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in accept(channel) }
            .bind(host: host, port: port)
            .get()
        onReady(channel.localAddress?.port ?? 0)
        logger.info("the gateway listens", metadata: ["port": "\(channel.localAddress?.port ?? 0)", "tls": "\(certificate != nil)"])
        do {
            try await gateway.firewall.load(gateway.policy.configuration.firewall)
        } catch {
            try? await channel.close()
            throw error
        }
        try await withTaskCancellationOrGracefulShutdownHandler {
            try await withThrowingTaskGroup(of: Void.self) { group in
                if let certificate {
                    group.addTask {
                        while true {
                            try await Task.sleep(for: FrontListener.certificateInterval)
                            certificate.refresh()
                        }
                    }
                }
                try await channel.closeFuture.get()
                group.cancelAll()
            }
        } onCancelOrGracefulShutdown: {
            channel.close(promise: nil)
        }
        await connections.end(within: FrontListener.stopTime)
        try await gateway.pools.closeIdle()
    }

    private func accept(_ channel: any Channel) -> EventLoopFuture<Void> {
        let peer = channel.remoteAddress?.ipAddress.flatMap { IPAddress($0) } ?? .loopback
        let policy = gateway.policy
        // A proxy before this gateway speaks for many.
        let most = policy.addresses.isTrusted(peer) ? Int.max : policy.configuration.connectionsPerAddress
        guard connections.enter(channel, from: peer.household, atMost: most) else {
            return channel.eventLoop.makeFailedFuture(TooManyConnections())
        }
        guard let certificate else { return serveHTTP1(channel, peer, scheme: "http") }
        // Who does not come to an end with the handshake does not stay.
        let limit = channel.eventLoop.scheduleTask(in: .microseconds(policy.configuration.headTime.microseconds)) {
            channel.close(promise: nil)
        }
        channel.closeFuture.whenComplete { _ in limit.cancel() }
        return channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: certificate.context))
        }.flatMap {
            channel.configureHTTP2SecureUpgrade(
                h2ChannelConfigurator: { channel in
                    limit.cancel()
                    // Whoever says that nothing more comes is gone: streams end by themselves.
                    return channel.setOption(.allowRemoteHalfClosure, value: false).flatMap { serveHTTP2(channel, peer) }
                },
                http1ChannelConfigurator: { channel in
                    limit.cancel()
                    return channel.setOption(.autoRead, value: false).flatMap { serveHTTP1(channel, peer, scheme: "https") }
                })
        }
    }

    private func serveHTTP1(_ channel: any Channel, _ peer: IPAddress, scheme: String) -> EventLoopFuture<Void> {
        channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandlers([
                ConnectionParts(),
                ClientHandler(gateway, pool: gateway.pools.pool(of: channel.eventLoop), peer: peer, scheme: scheme, isStream: false),
            ])
        }
    }

    private func serveHTTP2(_ channel: any Channel, _ peer: IPAddress) -> EventLoopFuture<Void> {
        var settings = NIOHTTP2Handler.ConnectionConfiguration()
        settings.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: FrontListener.mostStreams),
            HTTP2Setting(parameter: .maxHeaderListSize, value: RequestDecoder.largestHead),
        ]
        let idle = TimeAmount.microseconds(gateway.policy.configuration.idleTime.microseconds)
        let manager = NIOHTTP2ServerConnectionManagementHandler(
            eventLoop: channel.eventLoop,
            configuration: .init(maxIdleTime: idle, maxAge: nil, maxGraceTime: FrontListener.stopTime, keepalive: nil))
        let bound = NIOLoopBound(manager, eventLoop: channel.eventLoop)
        let end = LoneConnectionEnd(of: channel, after: idle + FrontListener.stopTime, manager.http2StreamDelegate)
        return channel.configureHTTP2Pipeline(
            mode: .server, connectionConfiguration: settings, streamConfiguration: .init(), streamDelegate: end
        ) { stream in
            stream.setOption(.autoRead, value: false).flatMapThrowing {
                try stream.pipeline.syncOperations.addHandlers([
                    HTTP2FramePayloadToHTTP1ServerCodec(), StreamParts(),
                    ClientHandler(gateway, pool: gateway.pools.pool(of: stream.eventLoop), peer: peer, scheme: "https", isStream: true),
                ])
            }
        }.flatMapThrowing { _ in try channel.pipeline.syncOperations.addHandler(bound.value) }
    }

    private struct TooManyConnections: Error {}
}

/// Closes a connection of HTTP/2 that has had no stream for too long, whatever its other end says. NIO's handler asks it to go before that,
/// but begins to count with the first stream, and waits for an answer.
private final class LoneConnectionEnd: NIOHTTP2StreamDelegate {
    private let channel: any Channel
    private let time: TimeAmount
    private let next: any NIOHTTP2StreamDelegate
    private let state: NIOLoopBoundBox<(streams: Int, end: Scheduled<Void>?)>

    /// To be made on the channel's event loop.
    init(of channel: any Channel, after time: TimeAmount, _ next: any NIOHTTP2StreamDelegate) {
        self.channel = channel
        self.time = time
        self.next = next
        state = NIOLoopBoundBox((0, nil), eventLoop: channel.eventLoop)
        begin()
        channel.closeFuture.whenComplete { [state] _ in state.value.end?.cancel() }
    }

    private func begin() {
        state.value.end?.cancel()
        state.value.end = channel.eventLoop.scheduleTask(in: time) { [channel] in channel.close(promise: nil) }
    }

    func streamCreated(_ id: HTTP2StreamID, channel: any Channel) {
        next.streamCreated(id, channel: channel)
        state.value.streams += 1
        state.value.end?.cancel()
    }

    func streamClosed(_ id: HTTP2StreamID, channel: any Channel) {
        next.streamClosed(id, channel: channel)
        state.value.streams -= 1
        if state.value.streams == 0 { begin() }
    }
}

/// The connections that are open, and how many each address has.
private final class Connections: Sendable {
    private struct State {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var byAddress: [IPAddress: Int] = [:]
        var whenEmpty: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    func enter(_ channel: any Channel, from address: IPAddress, atMost most: Int) -> Bool {
        let mayEnter = state.withLock { state in
            guard state.byAddress[address, default: 0] < most else { return false }
            state.byAddress[address, default: 0] += 1
            state.channels[ObjectIdentifier(channel)] = channel
            return true
        }
        if mayEnter { channel.closeFuture.whenComplete { [self] _ in leave(channel, from: address) } }
        return mayEnter
    }

    private func leave(_ channel: any Channel, from address: IPAddress) {
        let waiter = state.withLock { state in
            state.channels[ObjectIdentifier(channel)] = nil
            if let count = state.byAddress[address] { state.byAddress[address] = count > 1 ? count - 1 : nil }
            guard state.channels.isEmpty else { return nil as CheckedContinuation<Void, Never>? }
            defer { state.whenEmpty = nil }
            return state.whenEmpty
        }
        waiter?.resume()
    }

    /// Lets those that are idle go at once, and the others after their answer, but no later than in `time`.
    func end(within time: TimeAmount) async {
        for channel in state.withLock({ Array($0.channels.values) }) {
            channel.pipeline.fireUserInboundEventTriggered(ClientHandler.Stop())
            channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        }
        let limit = MultiThreadedEventLoopGroup.singleton.any().scheduleTask(in: time) { [self] in
            for channel in state.withLock({ Array($0.channels.values) }) { channel.close(promise: nil) }
        }
        await withCheckedContinuation { continuation in
            let isEmpty = state.withLock { state in
                guard !state.channels.isEmpty else { return true }
                state.whenEmpty = continuation
                return false
            }
            if isEmpty { continuation.resume() }
        }
        limit.cancel()
    }
}

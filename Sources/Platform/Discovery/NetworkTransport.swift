import AsyncHTTPClient
package import CoreMetrics
import Glibc
import HTTPTypes
package import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Values

/// Calls peers over HTTP: on an instance that is well, within the caller's time, and once more on another where that can do no harm.
package final class NetworkTransport: Transport {
    /// How long a peer is waited for where the caller has not said how long.
    private static let timeLimit = TimeSpan.seconds(10)
    /// Establishing a connection takes a fraction of it.
    private static let connectLimit = TimeSpan.seconds(1)
    /// Who has not answered after so long has failed.
    private static let fairTime = TimeSpan.seconds(1)
    private static let mostAttempts = 3
    private static let largestBody = 16 << 20

    /// Where a service runs, and how often it may be asked once more.
    package struct Peer: Sendable {
        package let balancer: Balancer
        package let budget = RetryBudget()
        package let retries: Counter

        package init(_ instances: [Instance], of service: ServiceName) {
            balancer = Balancer(instances, of: service)
            retries = Counter(label: "peer_retries_total", dimensions: [("peer", service.description)])
        }
    }

    private let client: HTTPClient
    private let peers: [ServiceName: Peer]
    private let found: Set<ServiceName>
    private let logger: Logger

    /// - Parameters:
    ///   - instances: where peers run that always run there.
    ///   - found: the peers of which `replace` tells where they run, unless `instances` does.
    ///   - logger: is told of requests that reached no instance.
    package init(_ instances: [ServiceName: [Instance]], found: [ServiceName] = [], logger: Logger) {
        self.found = Set(found).subtracting(instances.keys)
        let instances = instances.merging(self.found.map { ($0, []) }) { said, _ in said }
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.timeout.connect = .milliseconds(NetworkTransport.connectLimit.microseconds / 1_000)
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 4_096
        // Another instance is tried instead.
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.httpVersion = .http1Only
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        peers = Dictionary(
            uniqueKeysWithValues: instances.map { service, instances in (service, Peer(instances, of: service)) })
        self.logger = logger
    }

    /// From now on peers run there, as far as that is to be found.
    /// - Parameter instances: a peer that is not named runs nowhere.
    package func replace(with instances: (ServiceName) -> [Instance]) {
        for service in found { peers[service]?.balancer.replace(with: instances(service)) }
    }

    /// To be called once, when nobody sends any more.
    package func close() async throws {
        try await client.shutdown()
    }

    /// Nil where nothing says where the service runs.
    package func peer(_ service: ServiceName) -> Peer? { peers[service] }

    /// All peers in the order of their names, and whether a registry tells where they run.
    package var all: [(service: ServiceName, peer: Peer, isFound: Bool)] {
        peers.map { ($0, $1, found.contains($0)) }.sorted { $0.service.description < $1.service.description }
    }

    package func send(_ request: PeerRequest, to service: ServiceName) async throws -> PeerResponse {
        guard let peer = peers[service] else { throw Problem.unavailable("Nothing says where \(service) runs.") }
        peer.budget.requestIsSent()
        let deadline = Deadline.current ?? .now + NetworkTransport.timeLimit
        var tried: Set<Instance> = []
        while true {
            guard let instance = peer.balancer.choose(after: tried) else {
                guard let wait = peer.balancer.closedFor() else { throw Problem.unavailable("\(service) does not run anywhere.") }
                throw Problem.unavailable("\(service) does not answer at the moment.", retryAfter: Int(wait.roundedUpToSeconds))
            }
            tried.insert(instance)
            let isLast = tried.count >= min(peer.balancer.count, NetworkTransport.mostAttempts)
            let start = Instant.now
            let outcome = await exchange(request, with: instance, until: deadline)
            let end = Instant.now
            peer.balancer.ended(instance, outcome.kind, after: end - start)
            // Another one could take as long: its answer would come too late.
            let hasTime = deadline - end > end - start
            if !isLast, !Task.isCancelled, outcome.isWorthAnother(request.isRepeatable), hasTime, peer.budget.take() {
                peer.retries.increment()
                // Whoever is asked to stop does not wait.
                try? await Task.sleep(for: RetryPause.random().duration)
                continue
            }
            switch outcome {
            case .answer(let response, _): return response
            case .noConnection(let error), .notSent(let error), .broken(let error, _):
                logger.warning(
                    "a peer could not be asked",
                    metadata: [
                        "peer": "\(service)", "instance": "\(instance)", "requestId": "\(Correlation.id ?? "")", "error": "\(error)",
                    ])
                throw Problem.unavailable("\(service) does not answer at the moment.")
            }
        }
    }

    private enum Exchange {
        case answer(PeerResponse, isLeaving: Bool)
        /// Nothing was reached, and so nothing was sent.
        case noConnection(any Error)
        /// Nothing was sent, which is not the instance's fault.
        case notSent(any Error)
        /// Whether it arrived is not known.
        case broken(any Error, isItsFault: Bool)

        var kind: Balancer.Outcome {
            switch self {
            case .answer(let response, let isLeaving): response.status >= 500 ? .failed : isLeaving ? .leaving : .answered
            case .noConnection: .unreachable
            case .notSent: .notAsked
            // Who leaves, or comes with too little time, says nothing about the instance.
            case .broken(_, let isItsFault): isItsFault ? .silent : .notAsked
            }
        }

        func isWorthAnother(_ isRepeatable: Bool) -> Bool {
            switch self {
            case .answer(let response, _): isRepeatable && (502...504).contains(response.status)
            case .noConnection, .notSent: true
            case .broken: isRepeatable
            }
        }
    }

    private func exchange(_ request: PeerRequest, with instance: Instance, until deadline: Instant) async -> Exchange {
        // All of it: an instance that takes its time does not get faster by another that does the same.
        let limit = deadline - .now
        guard limit > .zero else { return .notSent(HTTPClientError.deadlineExceeded) }
        var message = HTTPClientRequest(url: instance.address + request.target)
        message.method = HTTPMethod(rawValue: request.method.rawValue)
        for field in request.headers where !HTTPField.Name.ofOneConnection.contains(field.name) {
            message.headers.add(name: field.name.rawName, value: field.value)
        }
        message.headers.replaceOrAdd(name: HTTPField.Name.timeLeft.rawName, value: "\(max(1, limit.microseconds / 1_000))")
        if !request.body.isEmpty { message.body = .bytes(ByteBuffer(bytes: request.body)) }
        do {
            // The client's own deadline is that of the head.
            let (response, body) = try await within(limit) { [client, message] in
                let response = try await client.execute(message, deadline: .now() + .microseconds(limit.microseconds))
                return (response, try await response.body.collect(upTo: NetworkTransport.largestBody))
            }
            var headers = HTTPFields()
            for (name, value) in response.headers {
                guard let name = HTTPField.Name(name), !HTTPField.Name.ofOneConnection.contains(name) else { continue }
                headers.append(HTTPField(name: name, value: value))
            }
            return .answer(
                PeerResponse(status: Int(response.status.code), headers: headers, body: Array(body.readableBytesView)),
                isLeaving: response.headers["connection"].contains { $0.lowercased() == "close" })
        } catch {
            switch error {
            case _ where LocalTrouble.isCause(of: error): return .notSent(error)
            case is NIOConnectionError: return .noConnection(error)
            case let refused as IOError where refused.errnoCode == ECONNREFUSED: return .noConnection(error)
            case let late as HTTPClientError where late == .connectTimeout: return .noConnection(error)
            case let crowded as HTTPClientError where crowded == .getConnectionFromPoolTimeout: return .notSent(error)
            case is TimeIsOver: return .broken(error, isItsFault: limit >= NetworkTransport.fairTime)
            case let late as HTTPClientError where late == .deadlineExceeded:
                return .broken(error, isItsFault: limit >= NetworkTransport.fairTime)
            default: return .broken(error, isItsFault: !Task.isCancelled)
            }
        }
    }
}

extension HTTPField.Name {
    /// What is between two neighbours only and is not handed on (RFC 9110, section 7.6.1), and what each of them says anew.
    fileprivate static let ofOneConnection: Set<HTTPField.Name> = [
        .connection, HTTPField.Name("Keep-Alive")!, .proxyAuthenticate, .proxyAuthorization, .te, .trailer, .transferEncoding, .upgrade,
        .expect, .contentLength, .timeLeft,
    ]
}

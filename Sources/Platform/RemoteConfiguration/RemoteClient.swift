import AsyncHTTPClient
import HTTPTypes
import NIOCore
import NIOHTTP1
import Values

/// Speaks to Config Servers.
struct RemoteClient: Sendable {
    struct Failure: Error, CustomStringConvertible {
        let description: String
        /// Whether asking again brings nothing else until somebody corrects something.
        var isLasting = false
    }

    struct Answer: Sendable {
        let url: String
        let fetched: [String: Fetched]
    }

    /// What an application's settings are, and by what the server knows that they did not change.
    struct Fetched: Codable, Sendable {
        var document: SettingsDocument
        var etag: String?
    }

    private static let largestBody = 16 << 20
    private static let timeLimit = TimeSpan.seconds(5)
    /// How the server names what it could not decrypt.
    private static let unreadable = "invalid."
    /// The server says something at least every five seconds.
    private static let longestSilence = TimeAmount.seconds(15)

    private let http: HTTPClient
    let address: RemoteAddress

    init(_ address: RemoteAddress) {
        self.address = address
        var configuration = HTTPClient.Configuration()
        // A redirection could carry the password elsewhere.
        configuration.redirectConfiguration = .disallow
        configuration.timeout.connect = .seconds(1)
        configuration.timeout.read = RemoteClient.longestSilence
        configuration.connectionPool.retryConnectionEstablishment = false
        // Each application's stream keeps a connection, and all are fetched at once beside them.
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 2 * address.applications.count + 8
        configuration.httpVersion = .http1Only
        http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    func close() async throws {
        try await http.shutdown()
    }

    /// - Parameters:
    ///   - urls: the servers that are asked first.
    ///   - known: what is known already, by application.
    /// - Throws: why the last server that was asked did not answer.
    func fetch(first urls: [String], known: [String: Fetched]) async throws -> Answer {
        var last: any Error = Failure(description: "no address of a Config Server is set")
        var asked: Set<String> = []
        for url in urls + address.urls where asked.insert(url).inserted {
            do {
                let fetched = try await withThrowingTaskGroup(of: (String, Fetched).self) { group in
                    for application in address.applications {
                        group.addTask { (application, try await fetch(application, from: url, known: known[application])) }
                    }
                    return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
                }
                return Answer(url: url, fetched: fetched)
            } catch {
                last = error
            }
        }
        throw last
    }

    private func request(_ application: String, _ url: String, accept: String) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: url + address.path(of: application))
        request.headers.add(name: "Accept", value: accept)
        if let authorization = address.authorization { request.headers.add(name: "Authorization", value: authorization) }
        return request
    }

    private func fetch(_ application: String, from url: String, known: Fetched?) async throws -> Fetched {
        var request = request(application, url, accept: "application/json")
        if let etag = known?.etag { request.headers.add(name: "If-None-Match", value: etag) }
        let (response, body) = try await within(RemoteClient.timeLimit) { [http, request] in
            let response = try await http.execute(request, timeout: .microseconds(RemoteClient.timeLimit.microseconds))
            return (response, try await response.body.collect(upTo: RemoteClient.largestBody))
        }
        if response.status == .notModified, let known { return known }
        guard response.status == .ok else {
            let isRefused = response.status == .unauthorized || response.status == .forbidden
            throw Failure(
                description: "\(url) answered \(response.status.code) for \(application)"
                    + (isRefused ? "; correct TICKETFLOW_CONFIG_USER and TICKETFLOW_CONFIG_PASSWORD, or what the server allows them" : ""),
                isLasting: isRefused)
        }
        let document = try JSON.value(SettingsDocument.self, from: Array(body.readableBytesView))
        let keys = Set(document.propertySources.flatMap(\.source.keys)).filter { $0.hasPrefix(RemoteClient.unreadable) }
        guard keys.isEmpty else {
            let names = keys.map { $0.dropFirst(RemoteClient.unreadable.count) }.sorted().joined(separator: ", ")
            throw Failure(description: "\(url) cannot decrypt what \(application) needs: \(names)", isLasting: true)
        }
        // An empty folder in the place of the one that is meant looks so; who wants no settings leaves an empty file.
        guard !document.propertySources.isEmpty || known?.document.propertySources.isEmpty ?? true else {
            throw Failure(description: "\(url) has no file of settings for \(application) any more")
        }
        return Fetched(document: document, etag: response.headers.first(name: "ETag"))
    }

    /// Listens to a server's stream of changes until it ends.
    /// - Returns: false where the server has no such stream.
    func listen(to application: String, at url: String, onEvent: (ServerSentEvent) -> Void) async throws -> Bool {
        let response = try await http.execute(request(application, url, accept: "text/event-stream"), deadline: .distantFuture)
        guard response.status == .ok, response.headers.first(name: "Content-Type")?.hasPrefix("text/event-stream") == true else {
            if response.status.code >= 500 || response.status == .unauthorized {
                throw Failure(description: "\(url) answers \(response.status.code) to who listens")
            }
            return false
        }
        var parser = ServerSentEventParser()
        for try await bytes in response.body {
            for event in try parser.take(bytes.readableBytesView) { onEvent(event) }
        }
        return true
    }
}

package import Configuration
package import Discovery
import HTTPTypes
import Logging
import Metrics
import RemoteConfiguration
package import ServiceKit
package import ServiceLifecycle
import Values

/// Serves the settings of applications, in Spring Cloud Config's protocol.
package struct SettingsServer: EdgeServer {
    package static let name = ServiceName("config-server")
    package static let usualPort = 8_888
    package static let largestBody = 4 * 1024 * 1024

    private let configuration: ConfigServerConfiguration
    private let library: SettingsLibrary
    private let streams = ChangeStreams()
    private let refreshing = SharedWork<Set<String>>()
    private let logger: Logger
    private let reads = Counter(label: "config_server_reads_total")
    private let refusals = Counter(label: "config_server_refusals_total")
    private let failures = Counter(label: "config_server_refresh_failures_total")
    private let refreshTime = Timer(label: "config_server_refresh_seconds")

    package init(_ environment: EdgeEnvironment) throws {
        configuration = try ConfigServerConfiguration(environment.configuration.snapshot())
        library = SettingsLibrary(configuration, folder: environment.folder, logger: environment.logger)
        logger = environment.logger
    }

    package static func readSettings(_ reader: ConfigReader) throws { _ = try ConfigServerConfiguration(reader.snapshot()) }

    package var services: [any Service] {
        [
            JobRunner(Job("refresh-settings", every: configuration.refresh) { await lookForChanges() }, logger: logger),
            JobRunner(Job("keep-listeners", every: .seconds(5)) { streams.keepAlive() }, logger: logger),
            StreamsEnd(streams: streams),
        ]
    }

    package var checks: [Operations.Check] {
        library.backends.enumerated().flatMap { index, backend in
            let name = library.backends.count == 1 ? "settings" : "settings-\(index + 1)"
            return [
                Operations.Check(name) {
                    guard backend.hasContents else { throw Trouble(description: backend.trouble ?? "it was not read yet") }
                },
                // What was read last is served on, so that it is said and nothing else.
                Operations.Check("\(name)-refresh", isNeeded: false) {
                    if let trouble = backend.trouble { throw Trouble(description: trouble) }
                },
            ]
        }
    }

    private struct Trouble: Error, CustomStringConvertible {
        let description: String
    }

    package func respond(to request: IncomingRequest) async -> Reply {
        let requestID = RequestID.of(request)
        var reply: Reply
        do {
            reply = try await answer(request)
        } catch {
            reply = .problem(problem(error, requestID: requestID), requestID: requestID)
            if reply.status == .unauthorized || reply.status == .forbidden { refusals.increment() }
            if reply.status == .unauthorized { reply.headers[.wwwAuthenticate] = "Basic realm=\"settings\"" }
            if reply.status == .methodNotAllowed { reply.headers[.allow] = isAction(request) ? "POST" : "GET, HEAD" }
        }
        reply.headers[.requestID] = requestID
        if request.method == .head {
            reply.headers[.contentLength] = "\(reply.body.count)"
            reply.body = []
            reply.rest = nil
        }
        return reply
    }

    private func problem(_ error: any Error, requestID: String) -> Problem {
        if let problem = error as? Problem { return problem }
        logger.error("a request failed", metadata: ["requestId": "\(requestID)", "error": "\(error)"])
        return Problem(
            500, "internal", "Something went wrong here", detail: "It was written down; name the request id when you ask about it.")
    }

    // MARK: Routes

    private static let actions: Set<Substring> = ["/encrypt", "/decrypt", "/monitor"]

    private func isAction(_ request: IncomingRequest) -> Bool {
        SettingsServer.actions.contains(request.target.prefix { $0 != "?" })
    }

    private func answer(_ request: IncomingRequest) async throws -> Reply {
        let path = request.target.prefix { $0 != "?" }
        let isRead = request.method == .get || request.method == .head
        guard isRead || request.method == .post, isRead != isAction(request) else {
            throw Problem(405, "method-not-allowed", "This address does not know the method \(request.method)")
        }
        switch path {
        case "/monitor": return try await monitor(request)
        case "/encrypt": return try encrypt(request)
        case "/decrypt": return try decrypt(request)
        case "/encrypt/status":
            _ = try configuration.access.user(request.headers[.authorization])
            return try status()
        case "/key":
            _ = try configuration.access.user(request.headers[.authorization])
            return try publicKey()
        default: return try await read(request, path)
        }
    }

    // MARK: Reading

    private func read(_ request: IncomingRequest, _ path: Substring) async throws -> Reply {
        let query = request.target.dropFirst(path.count + 1).split(separator: "&")
        let address = try SettingsAddress(
            path: path, usesDefaultLabel: query.contains { $0 == "useDefaultLabel" || $0.hasPrefix("useDefaultLabel=") })
        let isFilled = !query.contains("resolvePlaceholders=false")
        let user = try configuration.access.user(request.headers[.authorization])
        try configuration.access.demandReading(address.application, address.profiles, by: user)
        if case .file(_, _, _, let path) = address { try configuration.access.demandReading(file: path, by: user) }
        let edition = try await library.edition(address.label)
        // What names of profiles and search paths have led to counts, not what was asked for.
        for file in library.files(address.application, address.profiles, in: edition) {
            try configuration.access.demandReading(found: file.path, by: user)
        }
        reads.increment()
        switch address {
        case .document(let application, let profiles, let label):
            let answer = try await library.document(application, profiles, label: label ?? edition.label, in: edition)
            if request.headers[.accept]?.contains("text/event-stream") == true { return stream(application, answer) }
            return reply(answer, type: "application/json", to: request)
        case .form(let form, let application, let profiles, _):
            let answer = try await library.form(form, application, profiles, isFilled: isFilled, in: edition)
            return reply(answer, type: form.contentType, to: request)
        case .file(let application, let profiles, _, let path):
            guard let found = library.file(path, application, profiles, in: edition) else { throw Problem.notFound("file") }
            try configuration.access.demandReading(found: found.path, by: user)
            return try await file(found, application, profiles, edition, isFilled: isFilled, request)
        }
    }

    private func reply(_ answer: SettingsLibrary.Answer, type: String, to request: IncomingRequest) -> Reply {
        var reply = Reply.bytes(answer.body, type: type)
        if request.headers[.ifNoneMatch] == answer.etag { reply = Reply(status: .notModified) }
        reply.headers[.eTag] = answer.etag
        return reply.uncached
    }

    private func stream(_ application: String, _ answer: SettingsLibrary.Answer) -> Reply {
        var reply = Reply.bytes([], type: "text/event-stream").uncached
        reply.rest = streams.listen(to: application, version: answer.etag)
        return reply
    }

    private func file(
        _ file: SettingsLibrary.Found, _ application: String, _ profiles: [String], _ edition: SettingsLibrary.Edition, isFilled: Bool,
        _ request: IncomingRequest
    ) async throws -> Reply {
        let (bytes, modified) = try await library.contents(of: file)
        let isRaw = request.headers[.accept]?.contains("application/octet-stream") == true
        var reply = Reply.bytes(bytes, type: "application/octet-stream")
        if !isRaw, let text = String(validating: bytes, as: UTF8.self) {
            let values = isFilled && text.contains("${") ? try await library.values(application, profiles, in: edition) : [:]
            let filled = values.isEmpty ? text : Placeholders(values).fill(text)
            reply = .bytes(Array(filled.utf8), type: "text/plain;charset=UTF-8")
        }
        if let modified { reply.headers[.lastModified] = HTTPDate.text(ofSecond: Int(modified.seconds)) }
        reply.headers[.contentTypeOptions] = "nosniff"
        return reply.uncached
    }

    // MARK: Encryption

    private struct Status: Encodable {
        var description: String?
        let status: String
    }

    private func status() throws -> Reply {
        guard configuration.cipher == nil else { return try Reply.ok(Status(status: "OK")) }
        return try failure(.notFound, Status(description: "No key was installed for encryption service", status: "NO_KEY"))
    }

    private func publicKey() throws -> Reply {
        guard let key = configuration.cipher?.publicKey else {
            return try failure(.notFound, Status(description: "No public key available", status: "NOT_FOUND"))
        }
        return .bytes(Array(key.utf8), type: "text/plain;charset=UTF-8")
    }

    private func failure(_ code: HTTPResponse.Status, _ status: Status) throws -> Reply {
        var reply = try Reply.ok(status)
        reply.status = code
        return reply
    }

    private func encrypt(_ request: IncomingRequest) throws -> Reply {
        try configuration.access.demand(.encrypt, of: configuration.access.user(request.headers[.authorization]))
        guard let cipher = configuration.cipher else { return try status() }
        return .bytes(Array(try cipher.encrypt(try text(of: request, plusIsSpace: true)).utf8), type: "text/plain;charset=UTF-8")
    }

    private func decrypt(_ request: IncomingRequest) throws -> Reply {
        try configuration.access.demand(.decrypt, of: configuration.access.user(request.headers[.authorization]))
        guard let cipher = configuration.cipher else { return try status() }
        var text = try text(of: request, plusIsSpace: false).trimming(\.isWhitespace)
        if text.hasPrefix(SettingsCipher.prefix) { text.removeFirst(SettingsCipher.prefix.count) }
        guard let plain = try? cipher.decrypt(text) else {
            return try failure(.badRequest, Status(description: "Text not encrypted with this key", status: "INVALID"))
        }
        return .bytes(Array(plain.utf8), type: "text/plain;charset=UTF-8")
    }

    /// As it is, or, as `curl -d` declares it, a form without names.
    private func text(of request: IncomingRequest, plusIsSpace: Bool) throws -> String {
        guard let text = String(validating: request.body, as: UTF8.self) else { throw Problem.badRequest("The body is not UTF-8.") }
        guard request.headers[.contentType]?.contains("x-www-form-urlencoded") == true else { return text }
        return text[...].percentDecoded(plusIsSpace: plusIsSpace) ?? text
    }

    // MARK: Changes

    /// Not on the job's own time alone: whoever announces a change waits for it to be seen.
    private func lookForChanges() async {
        do {
            _ = try await refresh()
        } catch {
            logger.warning("a backend cannot be refreshed", metadata: ["error": "\(error)"])
        }
    }

    private func monitor(_ request: IncomingRequest) async throws -> Reply {
        let isSigned = configuration.webhookSecret.map { Announcement.isSigned(request, with: $0) } ?? false
        if !isSigned { try configuration.access.demand(.monitor, of: configuration.access.user(request.headers[.authorization])) }
        let announced = Announcement.applications(of: try Announcement(request).paths)
        let seen: Set<String>
        do {
            seen = try await refresh()
        } catch {
            logger.warning("a backend cannot be refreshed", metadata: ["error": "\(error)"])
            throw Problem.unavailable("The change cannot be read at the moment; announce it again.")
        }
        streams.announce(announced.subtracting(seen))
        let applications = announced.union(seen).sorted()
        logger.info("a change was announced", metadata: ["applications": "\(applications.joined(separator: " "))"])
        return try Reply.ok(applications)
    }

    /// Looks for changes, tells them to listeners, and returns the applications that they are of.
    private func refresh() async throws -> Set<String> {
        try await refreshing.fresh { [self] in
            let start = ContinuousClock.now
            defer { refreshTime.record(duration: ContinuousClock.now - start) }
            var changes = Changes.none
            var failure: (any Error)?
            for backend in library.backends {
                do {
                    changes.add(try await backend.refresh())
                } catch {
                    failures.increment()
                    failure = error
                }
            }
            let applications: Set<String> =
                switch changes {
                case .paths(let paths): Announcement.applications(of: paths)
                case .unknown: ["*"]
                }
            if !applications.isEmpty { streams.announce(applications) }
            if let failure { throw failure }
            return applications
        }
    }
}

extension HTTPField.Name {
    fileprivate static let contentTypeOptions = HTTPField.Name("X-Content-Type-Options")!
}

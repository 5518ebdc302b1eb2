import ConfigServer
import Configuration
import Foundation
import HTTPTypes
import Logging
import RemoteConfiguration
import ServiceKit
import TestServers
import Values

/// A Config Server without a socket, on places of a test's own.
struct ConfigLibrary: Sendable {
    let server: SettingsServer
    let folder: String

    /// - Parameter settings: behind `configServer.`.
    init(_ settings: [AbsoluteConfigKey: ConfigValue], folder: String = NSTemporaryDirectory() + "config-\(UUID().uuidString)") throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        self.folder = folder
        server = try SettingsServer(
            EdgeEnvironment(configuration: ConfigReader(provider: InMemoryProvider(values: settings)), folder: folder, logger: logger))
    }

    /// Open to everybody.
    init(on places: String..., settings: [AbsoluteConfigKey: ConfigValue] = [:]) throws {
        try self.init(
            settings.merging(["backends": ConfigValue(.stringArray(places), isSecret: false), "open": true]) { said, _ in said })
    }

    func remove() {
        try? FileManager.default.removeItem(atPath: folder)
    }

    func get(_ target: String, as user: String? = nil, _ headers: HTTPFields = [:]) async -> Reply {
        await send(.get, target, as: user, headers, "")
    }

    func post(_ target: String, _ body: String, as user: String? = nil, _ headers: HTTPFields = [:]) async -> Reply {
        await send(.post, target, as: user, headers, body)
    }

    /// - Parameter user: `name:password`.
    private func send(_ method: HTTPRequest.Method, _ target: String, as user: String?, _ headers: HTTPFields, _ body: String) async
        -> Reply
    {
        var headers = headers
        if let user { headers[.authorization] = "Basic \(Data(user.utf8).base64EncodedString())" }
        return await server.respond(to: IncomingRequest(method: method, target: target, headers: headers, body: Array(body.utf8)))
    }

    func document(_ target: String) async throws -> SettingsDocument {
        try JSON.value(from: await get(target).body)
    }

    func text(_ target: String, _ headers: HTTPFields = [:]) async -> String {
        String(decoding: await get(target, as: nil, headers).body, as: UTF8.self)
    }
}

extension ConfigValue {
    static func list(_ texts: String...) -> ConfigValue { ConfigValue(.stringArray(texts), isSecret: false) }
}

/// Runs a body with a repository and a server on it, and removes both.
func withLibrary<Result>(
    _ files: [String: String], settings: [AbsoluteConfigKey: ConfigValue] = [:],
    _ body: (ConfigLibrary, GitRepository) async throws -> Result
) async throws -> Result {
    let repository = try await GitRepository.make(files)
    defer { repository.remove() }
    let library = try ConfigLibrary(on: "git:\(repository.path)", settings: settings)
    defer { library.remove() }
    return try await body(library, repository)
}

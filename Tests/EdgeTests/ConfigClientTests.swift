import ConfigServer
import Configuration
import ConfigurationTesting
import Foundation
import HTTPTypes
import Logging
import RemoteConfiguration
import ServiceKit
import ServiceLifecycle
import Synchronization
import TestServers
import Testing
import Values

/// The client against a Config Server behind a socket.
@Suite struct ConfigClientTests {
    @Test func `it is what swift-configuration asks of a provider`() async throws {
        let yaml = """
            string: Hello
            int: 42
            double: 3.14
            bool: true
            bytes: \(Data("magic".utf8).base64EncodedString())
            stringy.array: [Hello, World]
            inty.array: [42, 24]
            doubly.array: [3.14, 2.72]
            booly.array: [true, false]
            byteChunky.array: [\(Data("magic".utf8).base64EncodedString()), \(Data("magic2".utf8).base64EncodedString())]
            other:
              string: Other Hello
              int: 24
              double: 2.72
              bool: false
              bytes: \(Data("magic2".utf8).base64EncodedString())
              stringy.array: [Hello, Swift]
              inty.array: [16, 32]
              doubly.array: [0.9, 1.8]
              booly.array: [false, true, true]
              byteChunky.array: [\(["magic", "magic2", "magic"].map { Data($0.utf8).base64EncodedString() }.joined(separator: ", "))]
            """
        func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
        let expected = ProviderCompatTest.TestConfiguration(overrides: [
            "bytes": .bytes(bytes("magic")), "other.bytes": .bytes(bytes("magic2")),
            "byteChunky.array": .byteChunkArray([bytes("magic"), bytes("magic2")]),
            "other.byteChunky.array": .byteChunkArray([bytes("magic"), bytes("magic2"), bytes("magic")]),
        ])
        try await withServer(["sales.yml": yaml]) { server in
            let provider = try await server.connect()
            try await ProviderCompatTest(provider: provider, configuration: expected).runTest()
        }
    }

    @Test func `a value of another type is a mistake, a missing one is none`() async throws {
        try await withServer(["sales.yml": "text: abc\nlist: [a]"]) { server in
            let provider = try await server.connect()
            for type in [ConfigType.int, .double, .bool, .intArray] {
                #expect(throws: (any Error).self) { try provider.value(forKey: ["text"], type: type) }
                #expect(try provider.value(forKey: ["no", "such", "key"], type: type).value == nil)
            }
            #expect(throws: (any Error).self) { try provider.value(forKey: ["list"], type: .string) }
        }
    }

    @Test func `watchers of every type see what was committed and announced`() async throws {
        try await withServer(["sales.yml": "i: 1\nb: false\ns: one\nl: [a]\nn: [1]\nd: 0.5\nsame: 7"]) { server in
            try await server.following { provider in
                let reader = ConfigReader(provider: provider)
                let (i, b, s, l, n, d, same) = (
                    Seen<Int>(), Seen<Bool>(), Seen<String>(), Seen<[String]>(), Seen<[Int]>(), Seen<Double>(), Seen<Int>()
                )
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await reader.watchInt(forKey: "i") { for await value in $0 { i.add(value) } } }
                    group.addTask { try await reader.watchBool(forKey: "b") { for await value in $0 { b.add(value) } } }
                    group.addTask { try await reader.watchString(forKey: "s") { for await value in $0 { s.add(value) } } }
                    group.addTask { try await reader.watchStringArray(forKey: "l") { for await value in $0 { l.add(value) } } }
                    group.addTask { try await reader.watchIntArray(forKey: "n") { for await value in $0 { n.add(value) } } }
                    group.addTask { try await reader.watchDouble(forKey: "d") { for await value in $0 { d.add(value) } } }
                    group.addTask { try await reader.watchInt(forKey: "same") { for await value in $0 { same.add(value) } } }
                    try await eventually("all watchers begin") {
                        same.all == [7] && d.all == [0.5] && i.all == [1] && b.all == [false] && s.all == ["one"] && l.all == [["a"]]
                            && n.all == [[1]]
                    }
                    try await server.repository.commit(["sales.yml": "i: 2\nb: true\ns: two\nl: [b, c]\nn: []\nd: 1.5\nsame: 7"])
                    try await server.announce("sales.yml")
                    try await eventually("all watchers see the change") {
                        i.all == [1, 2] && b.all == [false, true] && s.all == ["one", "two"] && l.all == [["a"], ["b", "c"]]
                            && n.all == [[1], []] && d.all == [0.5, 1.5]
                    }
                    #expect(same.all == [7])
                    group.cancelAll()
                }
            }
        }
    }

    @Test func `of several applications the first wins, and placeholders are filled in across files`() async throws {
        let files = ["application.yml": "host: h\na: 0", "sales.yml": "a: 1\nurl: http://${host}:${port:80}", "payments.yml": "a: 2\nb: 3"]
        try await withServer(files) { server in
            let reader = ConfigReader(provider: try await server.connect(applications: ["sales", "payments"]))
            #expect(reader.int(forKey: "a") == 1 && reader.int(forKey: "b") == 3)
            #expect(reader.string(forKey: "url") == "http://h:80")
        }
    }

    @Test func `without a server it begins with the last settings, says so, and catches up by itself`() async throws {
        try await withServer(["sales.yml": "a: 1"]) { server in
            _ = try await server.connect()
            let kept = try FileManager.default.contentsOfDirectory(atPath: server.settings).map { "\(server.settings)/\($0)" }
            #expect(kept.count == 1)
            for file in kept {
                #expect(try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int == 0o600)
            }
            #expect(try FileManager.default.attributesOfItem(atPath: server.settings)[.posixPermissions] as? Int == 0o700)

            try await server.repository.commit(["sales.yml": "a: 2"])
            try await server.pause {
                let provider = try await server.connect()
                #expect(provider.trouble != nil)
                #expect(try provider.value(forKey: ["a"], type: .int).value?.content == .int(1))
                return provider
            } afterwards: { provider in
                try await server.run(provider) {
                    try await server.announce("sales.yml")
                    try await eventually("it catches up") {
                        try provider.trouble == nil && provider.value(forKey: ["a"], type: .int).value?.content == .int(2)
                    }
                }
            }
        }
    }

    @Test func `without a server and without settings of before it says what to do`() async throws {
        try await withServer(["sales.yml": "a: 1"]) { server in
            await #expect(throws: RemoteProvider.Unreachable.self) {
                try await RemoteProvider.connect(
                    RemoteAddress(
                        urls: ["http://127.0.0.1:1"], user: nil, password: nil, applications: ["sales"], profiles: ["default"], label: nil),
                    folder: server.settings, poll: .seconds(30), patience: .zero)
            }
        }
    }

    @Test func `settings with a secret that the server could not decrypt do not replace those of before, nor begin anything`() async throws
    {
        let broken = "a: 2\nsome.secret: '{cipher}nonsense'\n"
        try await withServer(["sales.yml": "a: 1", "payments.yml": broken]) { server in
            await #expect {
                try await server.connect(applications: ["payments"])
            } throws: { ($0 as? RemoteProvider.Unreachable)?.description.contains("some.secret") == true }
            try await server.following { provider in
                try await server.repository.commit(["sales.yml": broken])
                try await server.announce("sales.yml")
                try await eventually("it is said") { provider.trouble?.contains("some.secret") == true }
                #expect(try provider.value(forKey: ["a"], type: .int).value?.content == .int(1))
                try await server.repository.commit(["sales.yml": "a: 3"])
                try await server.announce("sales.yml")
                try await eventually("it is mended") {
                    try provider.trouble == nil && provider.value(forKey: ["a"], type: .int).value?.content == .int(3)
                }
            }
        }
    }

    @Test func `settings do not vanish, neither while it runs nor between two runs`() async throws {
        try await withServer(["sales.yml": "a: 1", "other.yml": "b: 1"]) { server in
            try await server.following { provider in
                try await server.repository.git("rm", "--quiet", "sales.yml")
                try await server.repository.commit([:])
                try await server.announce("sales.yml")
                try await eventually("it is said") { provider.trouble?.contains("sales") == true }
                #expect(try provider.value(forKey: ["a"], type: .int).value?.content == .int(1))
            }
            let later = try await server.connect()
            #expect(later.trouble != nil)
            #expect(try later.value(forKey: ["a"], type: .int).value?.content == .int(1))
        }
    }

    @Test func `who only looks keeps nothing, and a folder that cannot be written is no reason not to begin`() async throws {
        try await withServer(["sales.yml": "a: 1"]) { server in
            _ = try await server.connect(keeps: false)
            #expect(!FileManager.default.fileExists(atPath: server.settings))
            // A file where the folder would be.
            try "".write(toFile: server.settings, atomically: true, encoding: .utf8)
            let provider = try await server.connect()
            #expect(provider.trouble == nil)
            #expect(try provider.value(forKey: ["a"], type: .int).value?.content == .int(1))
        }
    }

    @Test func `who may not read is told so at once`() async throws {
        try await withServer(["sales.yml": "a: 1"], settings: ["open": false, "users": .list("sales"), "user.sales.password": "s"]) {
            server in
            let start = ContinuousClock.now
            await #expect {
                try await server.connect()
            } throws: { ($0 as? RemoteProvider.Unreachable)?.description.contains("401") == true }
            // It would be patient for a minute otherwise.
            #expect(ContinuousClock.now - start < .seconds(30))
        }
    }

    @Test func `of several servers the first that answers is believed`() async throws {
        try await withServer(["sales.yml": "a: 1"]) { server in
            let provider = try await server.connect(urls: ["http://127.0.0.1:1", server.url])
            #expect(provider.trouble == nil)
            #expect(try provider.value(forKey: ["a"], type: .int).value?.content == .int(1))
        }
    }

    @Test func `a label with a slash and profiles are asked for`() async throws {
        try await withServer(["sales.yml": "a: 1", "sales-dev.yml": "a: 2"]) { server in
            try await server.repository.git("checkout", "--quiet", "-b", "feature/x")
            try await server.repository.commit(["sales-test.yml": "a: 3"])
            try await server.announce("sales.yml")
            let provider = try await server.connect(profiles: ["dev", "test"], label: "feature/x")
            #expect(try provider.value(forKey: ["a"], type: .int).value?.content == .int(3))
        }
    }
}

/// What a watcher saw, in its order.
private final class Seen<Value: Equatable & Sendable>: Sendable {
    private let values = Mutex<[Value?]>([])

    func add(_ value: Value?) {
        values.withLock { $0.append(value) }
    }

    var all: [Value?] { values.withLock { $0 } }
}

/// A Config Server behind a port, on a repository.
private struct RunningConfigServer: Sendable {
    let library: ConfigLibrary
    let repository: GitRepository
    let port: Int
    /// Where clients keep what they got.
    let settings: String
    fileprivate let isPaused = Mutexed(false)

    var url: String { "http://127.0.0.1:\(port)" }

    func connect(
        applications: [String] = ["sales"], profiles: [String] = ["default"], label: String? = nil, urls: [String]? = nil,
        keeps: Bool = true
    ) async throws -> RemoteProvider {
        try await RemoteProvider.connect(
            RemoteAddress(
                urls: urls ?? [url], user: nil, password: nil, applications: applications, profiles: profiles, label: label),
            folder: settings, keeps: keeps, poll: .seconds(3_600), patience: .seconds(60))
    }

    func announce(_ path: String) async throws {
        let reply = await library.post("/monitor", "path=\(path)")
        #expect(reply.status == .ok)
    }

    /// Runs a client of it while a body does something.
    func following(_ body: (RemoteProvider) async throws -> Void) async throws {
        let provider = try await connect()
        try await run(provider) { try await body(provider) }
    }

    func run(_ provider: RemoteProvider, _ body: () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await provider.run() }
            try await body()
            group.cancelAll()
        }
    }

    /// Answers nobody while the first body runs.
    func pause<Value>(_ body: () async throws -> Value, afterwards: (Value) async throws -> Void) async throws {
        isPaused.set(true)
        let value = try await body()
        isPaused.set(false)
        try await afterwards(value)
    }
}

private final class Mutexed<Value: Sendable>: Sendable {
    private let mutex: Mutex<Value>

    init(_ value: Value) { mutex = Mutex(value) }

    var value: Value { mutex.withLock { $0 } }
    func set(_ value: Value) { mutex.withLock { $0 = value } }
}

private func withServer(
    _ files: [String: String], settings: [AbsoluteConfigKey: ConfigValue] = [:], _ body: (RunningConfigServer) async throws -> Void
) async throws {
    try await withLibrary(files, settings: settings) { library, repository in
        let server = RunningConfigServer(
            library: library, repository: repository, port: try Ports.lasting(1)[0],
            settings: NSTemporaryDirectory() + "kept-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(atPath: server.settings) }
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let (ready, isReady) = AsyncStream<Void>.makeStream()
        let listener = HTTPListener(
            host: "127.0.0.1", port: server.port, largestBody: SettingsServerLimits.largestBody, takes: .anything, logger: logger,
            onReady: { _ in isReady.finish() },
            respond: { [isPaused = server.isPaused] request in
                isPaused.value ? Reply(status: .serviceUnavailable) : await library.server.respond(to: request)
            })
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await listener.run() }
            for await _ in ready {}
            try await body(server)
            group.cancelAll()
            // A listener that is cancelled has done nothing wrong.
            while let _ = try? await group.next() {}
        }
    }
}

private enum SettingsServerLimits {
    static let largestBody = 1 << 20
}

import Configuration
import Crypto
import Foundation
import HTTPTypes
import ServiceKit
import Synchronization
import TestServers
import Testing
import Values

@testable import ConfigServer

@Suite struct ConfigChangeTests {
    private static let secret: [AbsoluteConfigKey: ConfigValue] = [
        "open": false, "users": .list("reader"), "user.reader.password": "r", "user.reader.applications": .list("*"),
        "webhookSecret": "hush",
    ]

    private static let push =
        #"{"ref":"refs/heads/main","commits":[{"added":["foo-bar-dev.yml"],"modified":["x/payments.yml"],"removed":["old.yml"]}]}"#

    private static func signature(_ body: String, _ key: String) -> String {
        let code = HMAC<SHA256>.authenticationCode(for: Data(body.utf8), using: SymmetricKey(data: Data(key.utf8)))
        return "sha256=" + code.map { String(UInt16($0) + 256, radix: 16).dropFirst() }.joined()
    }

    private func applications(_ reply: Reply) throws -> [String] {
        try JSON.value([String].self, from: reply.body)
    }

    @Test func `a push that GitHub signs names the applications that it is about`() async throws {
        try await withLibrary([:], settings: ConfigChangeTests.secret) { library, _ in
            let body = ConfigChangeTests.push
            var headers: HTTPFields = [.contentType: "application/json"]
            headers[HTTPField.Name("X-GitHub-Event")!] = "push"
            headers[HTTPField.Name("X-Hub-Signature-256")!] = ConfigChangeTests.signature(body, "hush")
            let reply = await library.post("/monitor", body, as: nil, headers)
            let named = try applications(reply)
            #expect(named == ["foo", "foo-bar", "foo-bar-dev", "old", "payments", "x"])
            for wrong in [ConfigChangeTests.signature(body, "hash"), ConfigChangeTests.signature(body + " ", "hush"), "sha256=", ""] {
                headers[HTTPField.Name("X-Hub-Signature-256")!] = wrong
                #expect(await library.post("/monitor", body, as: nil, headers).status == .unauthorized)
            }
        }
    }

    @Test func `a push that GitLab sends with the token is taken`() async throws {
        try await withLibrary([:], settings: ConfigChangeTests.secret) { library, _ in
            var headers: HTTPFields = [.contentType: "application/json"]
            headers[HTTPField.Name("X-Gitlab-Event")!] = "Push Hook"
            headers[HTTPField.Name("X-Gitlab-Token")!] = "hush"
            let named = try applications(await library.post("/monitor", ConfigChangeTests.push, as: nil, headers))
            #expect(named.contains("foo-bar"))
            headers[HTTPField.Name("X-Gitlab-Token")!] = "hushhush"
            #expect(await library.post("/monitor", ConfigChangeTests.push, as: nil, headers).status == .unauthorized)
        }
    }

    @Test(arguments: [
        ("path=sales.yml", ["sales"]), ("path=a-b.yml&path=c.properties", ["a", "a-b", "c"]), ("path=application.yml", ["*"]),
        ("path=application-dev.yml", ["*"]), ("path=*", ["*"]), ("path=apps%2Fsales%2Fnginx.conf", ["apps", "nginx", "sales"]),
    ])
    func `paths say it as well`(_ body: String, _ expected: [String]) async throws {
        try await withLibrary([:]) { library, _ in
            for (target, body) in [("/monitor", body), ("/monitor?\(body)", "")] {
                let named = try applications(await library.post(target, body))
                #expect(named == expected)
            }
        }
    }

    @Test(arguments: ["", "nonsense", "{}", "[]", #"{"path":7}"#])
    func `an announcement of nothing is refused`(_ body: String) async throws {
        try await withLibrary([:]) { library, _ in
            #expect(await library.post("/monitor", body).status == .badRequest)
            #expect(await library.post("/monitor", body, as: nil, [.contentType: "application/json"]).status == .badRequest)
        }
    }

    @Test func `what was announced is served at once, and told to those whom it concerns`() async throws {
        try await withLibrary(["sales.yml": "a: 1", "payments.yml": "a: 1"]) { library, repository in
            let sales = try #require(await library.get("/sales/default", [.accept: "text/event-stream"]).rest)
            let payments = try #require(await library.get("/payments/default", [.accept: "text/event-stream"]).rest)
            var (salesEvents, paymentsEvents) = (sales.makeAsyncIterator(), payments.makeAsyncIterator())
            for first in [await salesEvents.next(), await paymentsEvents.next()] {
                #expect(String(decoding: try #require(first), as: UTF8.self).hasPrefix("event: version\ndata: \""))
            }
            try await repository.commit(["sales.yml": "a: 2"])
            #expect(await library.text("/sales-default.json") == #"{"a":1}"#)
            #expect(try applications(await library.post("/monitor", "path=sales.yml")) == ["sales"])
            #expect(await library.text("/sales-default.json") == #"{"a":2}"#)
            #expect(await salesEvents.next().map { String(decoding: $0, as: UTF8.self) } == "event: refresh\ndata: {}\n\n")
            // Of the other nothing was said until it is its own turn; and what the commit holds counts, not what was announced.
            try await repository.commit(["payments.yml": "a: 3"])
            #expect(try applications(await library.post("/monitor", "path=nothing.yml")) == ["nothing", "payments"])
            #expect(await paymentsEvents.next().map { String(decoding: $0, as: UTF8.self) } == "event: refresh\ndata: {}\n\n")
        }
    }

    @Test func `a folder is looked through again as well`() async throws {
        let folder = try ConfigFolder(["sales.yml": "a: 1"])
        defer { folder.remove() }
        let library = try ConfigLibrary(on: "folder:\(folder.path)")
        #expect(await library.text("/sales-default.json") == #"{"a":1}"#)
        try folder.write(["sales.yml": "a: 22"])
        #expect(try applications(await library.post("/monitor", "path=sales.yml")) == ["sales"])
        #expect(await library.text("/sales-default.json") == #"{"a":22}"#)
    }

    @Test func `announcements that come at once share their work, and none is answered before its change was seen`() async throws {
        let shared = SharedWork<Int>()
        let runs = Count()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<200 {
                group.addTask {
                    let before = runs.value
                    let run = try await shared.fresh {
                        let run = runs.next()
                        try await Task.sleep(for: .milliseconds(20))
                        return run
                    }
                    #expect(run > before)
                }
            }
            try await group.waitForAll()
        }
        #expect(runs.value < 100)
    }

    @Test func `while the repository cannot be reached the last clone is served, also by a server that starts`() async throws {
        let repository = try await GitRepository.make(["sales.yml": "a: 1"])
        let library = try ConfigLibrary(on: "git:\(repository.path)")
        defer { library.remove() }
        #expect(await library.text("/sales-default.json") == #"{"a":1}"#)
        #expect(await unwell(library).isEmpty)
        repository.remove()
        #expect(await library.post("/monitor", "path=sales.yml").status == .serviceUnavailable)
        #expect(await library.text("/sales-default.json") == #"{"a":1}"#)
        #expect(await unwell(library) == ["settings-refresh"])

        let other = try ConfigLibrary(
            ["backends": .list("git:\(repository.path)"), "open": true], folder: library.folder)
        _ = await other.post("/monitor", "path=sales.yml")
        #expect(await other.text("/sales-default.json") == #"{"a":1}"#)
        #expect(await unwell(other) == ["settings-refresh"])
    }

    @Test func `without any clone nothing is served, and the server is not ready`() async throws {
        let library = try ConfigLibrary(on: "git:/no/such/repository")
        defer { library.remove() }
        #expect(await library.get("/sales/default").status == .serviceUnavailable)
        #expect(await unwell(library) == ["settings", "settings-refresh"])
    }

    private func unwell(_ library: ConfigLibrary) async -> [String] {
        var names: [String] = []
        for check in library.server.checks {
            do { try await check.run() } catch { names.append(check.name) }
        }
        return names
    }
}

private final class Count: Sendable {
    private let count = Mutex(0)

    var value: Int { count.withLock { $0 } }

    func next() -> Int {
        count.withLock { count in
            count += 1
            return count
        }
    }
}

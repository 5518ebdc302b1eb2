import Configuration
import Foundation
import HTTPTypes
import ServiceKit
import TestServers
import Testing

/// Every way in which somebody might ask for a file outside of what is served. The shapes are those by which Spring Cloud Config was
/// broken (CVE-2019-3799, CVE-2020-5405, CVE-2020-5410, CVE-2026-22739, CVE-2026-40982, CVE-2026-41002), with their relatives.
@Suite struct ConfigTraversalTests {
    /// What may not leave: in files beside, above and behind links.
    private static let foreign = "FOREIGN-BYTES"

    private static let steps = [
        "..", "%2e%2e", "%2E%2e", ".%2e", "%2e.", "..%2f", "..%2F", "..%252f", "..%252F", "%252e%252e", "%252e%252e%252f", "..%5c",
        "..%255c",
        "..\\", "%2e%2e%2f", "%2e%2e%5c", "..;", "..%3b", "..%00", "..%2500", "(_)..", "..(_)", "(_)..(_)", "..%c0%af", "%c0%ae%c0%ae",
        "..%u2215", "....", ".../", "..%23", "%23..", "..%3f", "%09..", "..%0a", "..%20", "%20..", ".%00.", "%ef%bc%8e%ef%bc%8e", "~",
        "%7e",
    ]

    private static let names = ["outside", "outside.yml%23", "outside.txt", "etc%2fpasswd"]

    static let targets: [String] = {
        var targets: Set<String> = []
        for step in steps {
            for name in names {
                for depth in [1, 5] {
                    let way = Array(repeating: step, count: depth)
                    for separator in ["/", "%2f", "%252f", "(_)", "%5c"] {
                        let path = (way + [name]).joined(separator: separator)
                        // As a plain file, behind a label, and where a label stands.
                        targets.insert("/sales/default/main/\(path)")
                        targets.insert("/sales/default/main/inner/\(path)")
                        targets.insert("/sales/default/\(path)")
                        targets.insert("/sales/default/main(_)\(path)")
                        targets.insert("/sales/default/\(path)?useDefaultLabel")
                        // As a profile, by itself and among others; as an application; as the names of a form.
                        targets.insert("/sales/\(path)")
                        targets.insert("/sales/default,\(path),dev/main")
                        targets.insert("/\(path)/default")
                        targets.insert("/\(path)/default/main")
                        targets.insert("/\(path)-default.yml")
                        targets.insert("/sales-\(path).yml")
                        targets.insert("/\(path)/sales-default.json")
                        targets.insert("/\(path)/sales-default.properties")
                    }
                }
            }
        }
        let passwd = [
            "/etc/passwd", "%2fetc%2fpasswd", "%252fetc%252fpasswd", "(_)etc(_)passwd", "file:%2f%2f%2fetc%2fpasswd", "//etc/passwd",
        ]
        for path in passwd {
            for target in ["/sales/default/main/\(path)", "/sales/default/\(path)", "/sales/\(path)", "/\(path)/default", "/\(path)-a.yml"]
            {
                targets.insert(target)
            }
        }
        // Links that lie in the places themselves, and what is in their folders beside settings.
        let links = [
            "link.yml", "link.txt", "linked/outside.txt", "linked/outside.yml", "inner/link.txt", "up/outside.txt", "chain.txt",
            "inner/chain.txt",
            ".git/config", ".git/HEAD", "%2egit/config", "inner/.hidden", ".hidden", "inner", "", "inner/", ".", "linked", "pipe",
        ]
        for link in links {
            targets.insert("/sales/default/main/\(link)")
            targets.insert("/sales/default/\(link)?useDefaultLabel")
        }
        // Profiles that would make the name of a link.
        for target in ["/link/default", "/sales/link", "/link-default.yml", "/sales-link.properties", "/linked(_)outside/default"] {
            targets.insert(target)
        }
        return targets.sorted()
    }()

    /// A place with links to what is outside, and the outside.
    private struct Trap {
        let top: String
        let place: String

        init() throws {
            top = NSTemporaryDirectory() + "trap-\(UUID().uuidString)"
            place = "\(top)/place"
            let files = FileManager.default
            try files.createDirectory(atPath: "\(place)/inner", withIntermediateDirectories: true)
            for name in ["outside", "outside.txt", "outside.yml", "outside-default.yml"] {
                try "secret: \(foreign)\n".write(toFile: "\(top)/\(name)", atomically: true, encoding: .utf8)
            }
            for name in [".hidden", "inner/.hidden"] {
                try foreign.write(toFile: "\(place)/\(name)", atomically: true, encoding: .utf8)
            }
            try "a: 1\n".write(toFile: "\(place)/sales.yml", atomically: true, encoding: .utf8)
            for (link, goal) in [
                ("link.yml", "../outside.yml"), ("link-default.yml", "\(top)/outside.yml"), ("sales-link.properties", "/etc/passwd"),
                ("link.txt", "\(top)/outside.txt"), ("linked", ".."), ("up", top), ("inner/link.txt", "../../outside.txt"),
                ("chain.txt", "link.txt"), ("inner/chain.txt", "../chain.txt"),
            ] {
                try files.createSymbolicLink(atPath: "\(place)/\(link)", withDestinationPath: goal)
            }
            mkfifo("\(place)/pipe", 0o600)
        }

        func remove() {
            try? FileManager.default.removeItem(atPath: top)
        }
    }

    private func attack(_ library: ConfigLibrary) async {
        var escapes: [String] = []
        for (index, target) in ConfigTraversalTests.targets.enumerated() {
            // None of these waits for anything; others are to have their turn too.
            if index % 8 == 0 { await Task.yield() }
            let headers: HTTPFields = index % 2 == 0 ? [:] : [.accept: "application/octet-stream"]
            let reply = await library.get(target, headers)
            let body = String(decoding: reply.body, as: UTF8.self)
            if body.contains(ConfigTraversalTests.foreign) || body.contains("root:") || !isHarmless(reply, body, target) {
                escapes.append("\(target) gave \(reply.status): \(body)")
            }
        }
        #expect(escapes.isEmpty, "\(escapes.prefix(20).joined(separator: "\n"))")
    }

    /// 400, 404, or, where it only looks like a way out, such as a profile `outside`, the settings that are there anyway.
    private func isHarmless(_ reply: Reply, _ body: String, _ target: String) -> Bool {
        guard reply.status == .ok else { return reply.status == .badRequest || reply.status == .notFound }
        return !target.contains("..") && !target.contains("%") && !target.contains("\\")
            && (body.contains("\"propertySources\":[") || body == "{}" || body == "{}\n" || body.isEmpty || body.hasPrefix("a: 1")
                || body == #"{"a":1}"#)
    }

    @Test func `no path leads out of a folder`() async throws {
        let trap = try Trap()
        defer { trap.remove() }
        #expect(ConfigTraversalTests.targets.count > 10_000)
        let library = try ConfigLibrary(on: "folder:\(trap.place)")
        #expect(await library.text("/sales-default.json") == #"{"a":1}"#)
        await attack(library)
    }

    @Test func `no path leads out of a repository, nor do the links in it`() async throws {
        let trap = try Trap()
        defer { trap.remove() }
        let repository = try await GitRepository.make([:])
        defer { repository.remove() }
        for name in try FileManager.default.contentsOfDirectory(atPath: trap.place) where name != "pipe" && !name.hasPrefix(".") {
            try FileManager.default.moveItem(atPath: "\(trap.place)/\(name)", toPath: "\(repository.path)/\(name)")
        }
        try await repository.commit([:])
        let library = try ConfigLibrary(on: "git:\(repository.path)")
        defer { library.remove() }
        #expect(await library.text("/sales-default.json") == #"{"a":1}"#)
        await attack(library)
    }

    @Test func `search paths with names from the request lead nowhere else`() async throws {
        let trap = try Trap()
        defer { trap.remove() }
        let library = try ConfigLibrary(
            on: "folder:\(trap.place)",
            settings: ["searchPaths": .list("", "{application}", "{profile}", "{label}", "inner/{application}/{profile}")])
        await attack(library)
    }

    @Test func `a link that was put there after the folder was looked through is not followed`() async throws {
        let trap = try Trap()
        defer { trap.remove() }
        let library = try ConfigLibrary(on: "folder:\(trap.place)")
        #expect(await library.text("/sales/default/main/sales.yml") == "a: 1\n")
        try FileManager.default.removeItem(atPath: "\(trap.place)/sales.yml")
        try FileManager.default.createSymbolicLink(atPath: "\(trap.place)/sales.yml", withDestinationPath: "../outside.yml")
        let reply = await library.get("/sales/default/main/sales.yml")
        #expect(reply.status != .ok && !String(decoding: reply.body, as: UTF8.self).contains(ConfigTraversalTests.foreign))
    }

    @Test func `links that end inside are followed, as Kubernetes lays out its files`() async throws {
        let folder = try ConfigFolder(["..2026_01/sales.yml": "a: 1"])
        defer { folder.remove() }
        try FileManager.default.createSymbolicLink(atPath: "\(folder.path)/..data", withDestinationPath: "..2026_01")
        try FileManager.default.createSymbolicLink(atPath: "\(folder.path)/sales.yml", withDestinationPath: "..data/sales.yml")
        let library = try ConfigLibrary(on: "folder:\(folder.path)")
        #expect(await library.text("/sales-default.json") == #"{"a":1}"#)
        try folder.write(["..2026_02/sales.yml": "a: 2"])
        try FileManager.default.removeItem(atPath: "\(folder.path)/..data")
        try FileManager.default.createSymbolicLink(atPath: "\(folder.path)/..data", withDestinationPath: "..2026_02")
        _ = await library.post("/monitor", "path=*")
        #expect(await library.text("/sales-default.json") == #"{"a":2}"#)
    }
}

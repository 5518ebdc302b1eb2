import ConfigServer
import Configuration
import Foundation
import HTTPTypes
import RemoteConfiguration
import ServiceKit
import TestServers
import Testing
import Values

@Suite struct ConfigDocumentTests {
    private static let layers = [
        "application.yml": "who: application\nonly.application: 1\nlist: [a, b, c]\n",
        "sales.yml": "who: sales\nlist: [d]\n",
        "application-dev.yml": "who: application-dev\n",
        "sales-dev.yml": "who: sales-dev\n",
        "application-test.yml": "who: application-test\n",
        "sales-test.yml": "who: sales-test\n",
    ]

    @Test(arguments: [
        ("default", ["sales", "application"]),
        ("dev", ["sales-dev", "application-dev", "sales", "application"]),
        ("dev,test", ["sales-test", "application-test", "sales-dev", "application-dev", "sales", "application"]),
        ("test,dev", ["sales-dev", "application-dev", "sales-test", "application-test", "sales", "application"]),
    ])
    func `the application wins over what all share, a profile over none, and the last profile over the others`(
        _ profiles: String, _ order: [String]
    ) async throws {
        try await withLibrary(ConfigDocumentTests.layers) { library, repository in
            let document = try await library.document("/sales/\(profiles)")
            #expect(document.propertySources.map { $0.source["who"]?.text } == order)
            #expect(document.propertySources.map(\.name) == order.map { "\(repository.path)/\($0).yml" })
            #expect(document.name == "sales" && document.profiles == profiles.split(separator: ",").map(String.init))
            #expect(document.label == "main")
        }
    }

    @Test func `a list is replaced whole`() async throws {
        try await withLibrary(ConfigDocumentTests.layers) { library, _ in
            let json = await library.text("/sales-default.json")
            #expect(json == #"{"list":["d"],"only":{"application":1},"who":"sales"}"#)
        }
    }

    @Test func `what is kept as what it is, however it is nested`() async throws {
        let yaml = """
            a: {b: [{c: 1, d: [true, "x"]}, {c: 2.5}]}
            empty: {list: [], map: {}, nothing: null}
            text: ["1", 'true', 0x1F, 1e3]
            anchor: &x {k: v}
            merged: {<<: *x, own: 1}
            "[8080]": port
            """
        try await withLibrary(["application.yml": yaml]) { library, _ in
            let source = try await library.document("/any/default").propertySources[0].source
            #expect(
                source == [
                    "a.b[0].c": .whole(1), "a.b[0].d[0]": .flag(true), "a.b[0].d[1]": .text("x"), "a.b[1].c": .decimal(2.5),
                    "empty.list": .text(""), "empty.map": .text(""), "empty.nothing": .text(""),
                    "text[0]": .text("1"), "text[1]": .text("true"), "text[2]": .whole(31), "text[3]": .whole(1000),
                    "anchor.k": .text("v"), "merged.k": .text("v"), "merged.own": .whole(1), "[8080]": .text("port"),
                ])
        }
    }

    @Test func `documents of one file are for the profiles that they name`() async throws {
        let yaml = """
            who: all
            ---
            spring.config.activate.on-profile: dev
            who: dev
            ---
            spring: {profiles: [test, staging]}
            who: test
            """
        try await withLibrary(["application.yml": yaml]) { library, _ in
            for (profile, expected) in [("default", ["all"]), ("dev", ["dev", "all"]), ("staging", ["test", "all"])] {
                let sources = try await library.document("/a/\(profile)").propertySources
                #expect(sources.map { $0.source["who"]?.text } == expected)
            }
        }
    }

    @Test func `properties are read as Java reads them`() async throws {
        let text = "# comment\n! comment\na=1\nb : two words \nc three\nd=x\\\n   y\ne\\ f=\\u00e9\\n\ng=\n"
        try await withLibrary(["application.properties": text, "application.yml": "a: 0\nh: 1\n"]) { library, _ in
            let sources = try await library.document("/any/default").propertySources
            #expect(
                sources[0].source == [
                    "a": .text("1"), "b": .text("two words "), "c": .text("three"), "d": .text("xy"), "e f": .text("é\n"), "g": .text(""),
                ])
            #expect(sources[1].source == ["a": .whole(0), "h": .whole(1)])
        }
    }

    @Test func `an unknown application has no settings, an unknown label is not found`() async throws {
        try await withLibrary(["sales.yml": "a: 1"]) { library, repository in
            let unknown = try await library.document("/nobody/default")
            #expect(unknown.propertySources.isEmpty)
            #expect(unknown.version == (try await repository.git("rev-parse", "HEAD")))
            #expect(await library.get("/sales/default/nope").status == .notFound)
            #expect(await library.get("/nope/sales-default.yml").status == .notFound)
            #expect(await library.get("/sales/default/master").status == .notFound)
        }
    }

    @Test func `labels are branches, tags and commits, each with what it had`() async throws {
        try await withLibrary(["sales.yml": "a: 1"]) { library, repository in
            let first = try await repository.git("rev-parse", "HEAD")
            try await repository.git("tag", "-a", "-m", "one", "v1.0")
            try await repository.git("checkout", "--quiet", "-b", "feature/x")
            try await repository.commit(["sales.yml": "a: 2"])
            try await repository.git("checkout", "--quiet", "main")
            let last = try await repository.commit(["sales.yml": "a: 3"])
            let expected = [
                "main": 3, "feature(_)x": 2, "v1.0": 1, first: 1, String(first.prefix(8)): 1, last: 3,
            ]
            // At once: no label may come into another's way.
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<5 {
                    for (label, value) in expected {
                        group.addTask {
                            let document = try await library.document("/sales/default/\(label)")
                            #expect(document.propertySources.first?.source["a"] == .whole(value), "label \(label)")
                            #expect(document.label == label.replacing("(_)", with: "/"))
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func `without a branch main the default label is master`() async throws {
        try await withLibrary(["sales.yml": "a: 1"]) { library, repository in
            try await repository.git("branch", "--move", "master")
            #expect(try await library.document("/sales/default").label == "master")
        }
    }

    @Test func `several places are read as one, the first of them winning`() async throws {
        try await withLibrary(["sales.yml": "a: git\nb: git"]) { _, repository in
            let folder = try ConfigFolder(["sales.yml": "a: folder\nc: folder", "sales-dev.yml": "d: folder"])
            defer { folder.remove() }
            let library = try ConfigLibrary(on: "folder:\(folder.path)", "git:\(repository.path)")
            defer { library.remove() }
            #expect(await library.text("/sales-dev.json") == #"{"a":"folder","b":"git","c":"folder","d":"folder"}"#)
            // A folder has no labels, so that the repository's decide.
            #expect(await library.get("/sales/dev/nope").status == .notFound)
            #expect(try await library.document("/sales/dev/main").propertySources.count == 3)
        }
    }

    @Test func `search paths are places inside a place`() async throws {
        let files = ["shared/application.yml": "a: shared", "apps/sales/application.yml": "a: own\nb: own", "application.yml": "c: top"]
        let settings: [AbsoluteConfigKey: ConfigValue] = ["searchPaths": .list("shared", "apps/{application}")]
        try await withLibrary(files, settings: settings) { library, _ in
            #expect(await library.text("/sales-default.json") == #"{"a":"own","b":"own"}"#)
            #expect(await library.text("/other-default.json") == #"{"a":"shared"}"#)
        }
    }

    @Test func `a file that cannot be read is an error and no missing setting`() async throws {
        try await withLibrary(["sales.yml": "a: [1", "other.yml": "- a\n- b\n"]) { library, _ in
            #expect(await library.get("/sales/default").status == .internalServerError)
            #expect(await library.get("/other/default").status == .internalServerError)
            #expect(await library.get("/third/default").status == .ok)
        }
    }

    @Test func `a small file that becomes huge is refused`() async throws {
        let bomb =
            "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
            + "bcdefgh".map { name in
                let before = Character(Unicode.Scalar(name.asciiValue! - 1))
                return "\(name): &\(name) [" + Array(repeating: "*\(before)", count: 10).joined(separator: ",") + "]\n"
            }.joined()
        try await withLibrary(["sales.yml": bomb]) { library, _ in
            #expect(await library.get("/sales/default").status == .internalServerError)
        }
    }

    @Test func `what merges itself, or asks for itself, again and again ends`() async throws {
        let merges =
            "a: &a {x: 1}\n"
            + "bcdefghijklmnopqrstuvwxyz".map { name in
                let before = Character(Unicode.Scalar(name.asciiValue! - 1))
                return "\(name): &\(name) {<<: [*\(before), *\(before), *\(before), *\(before)]}\n"
            }.joined()
        let asks =
            "a: ''\n"
            + "bcdefghijklmnop".map { name in
                let before = Character(Unicode.Scalar(name.asciiValue! - 1))
                return "\(name): '" + String(repeating: "${\(before)}", count: 10) + "'\n"
            }.joined()
        try await withLibrary(["merges.yml": merges, "asks.yml": asks]) { library, _ in
            #expect(await library.get("/merges/default").status == .internalServerError)
            #expect(await library.get("/asks-default.yml").status == .ok)
        }
    }

    @Test func `an unchanged answer is not sent again`() async throws {
        try await withLibrary(["sales.yml": "a: 1"]) { library, _ in
            let first = await library.get("/sales/default")
            let tag = try #require(first.headers[.eTag])
            let second = await library.get("/sales/default", [.ifNoneMatch: tag])
            #expect(second.status == .notModified && second.body.isEmpty)
        }
    }

    @Test func `the sample repository is one, and every setting in it is known`() async throws {
        let sample = #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" } + "/deploy/config-sample"
        let library = try ConfigLibrary(on: "folder:\(sample)")
        for file in try FileManager.default.contentsOfDirectory(atPath: sample) where file.hasSuffix(".yml") {
            let name = String(file.dropLast(4))
            #expect(await library.get("/\(name)/default").status == .ok, "\(file)")
        }
        #expect(await library.text("/sales-manager-staging.json").contains(#""cart":{"seconds":60}"#))
    }
}

/// A folder of settings of a test's own.
@Suite struct ConfigFolderTests {
    @Test func `a folder without files is none, at the start and later`() async throws {
        let folder = try ConfigFolder([:])
        defer { folder.remove() }
        let library = try ConfigLibrary(on: "folder:\(folder.path)")
        #expect(await library.get("/sales/default").status == .serviceUnavailable)
        try folder.write(["sales.yml": "a: 1"])
        #expect(await library.text("/sales-default.json") == #"{"a":1}"#)
        try FileManager.default.removeItem(atPath: "\(folder.path)/sales.yml")
        #expect(await library.post("/monitor", "path=*").status == .serviceUnavailable)
        // What nobody has asked for yet cannot be read, and is not empty.
        #expect(await library.get("/sales/dev").status == .serviceUnavailable)
        var failed: [String] = []
        for check in library.server.checks where await !check.passes() { failed.append(check.name) }
        #expect(failed == ["settings-refresh"])
        try folder.write(["sales.yml": "a: 2"])
        #expect(await library.post("/monitor", "path=*").status == .ok)
        #expect(await library.text("/sales-default.json") == #"{"a":2}"#)
    }
}

struct ConfigFolder: Sendable {
    let path: String

    init(_ files: [String: String]) throws {
        path = NSTemporaryDirectory() + "settings-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try write(files)
    }

    func write(_ files: [String: String]) throws {
        for (name, text) in files {
            let file = URL(filePath: "\(path)/\(name)")
            try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try text.write(to: file, atomically: true, encoding: .utf8)
        }
    }

    func remove() {
        try? FileManager.default.removeItem(atPath: path)
    }
}

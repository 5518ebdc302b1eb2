import HTTPTypes
import RemoteConfiguration
import ServiceKit
import Testing
import Yams

@Suite struct ConfigFormTests {
    private static let files = [
        "application.yml": """
        host: example.com
        url: "https://${host}:${port:8443}/${missing}"
        nested: "${deep-${which}}"
        which: a
        deep-a: found
        circle: "${circle}"
        on: "yes"
        number: "007"
        text: "a: b # c"
        lines: "one\\ntwo"
        list: [1, {x: 2}]
        """,
        "sales-manager-dev.yml": "port: 80",
        "nginx.conf": "server ${host}; # $uri ${missing}\n",
        "nginx-dev.conf": "dev ${port}\n",
        "binary.bin": "${host}\u{0}",
    ]

    @Test(arguments: ["/sales-manager-dev", "/main/sales-manager-dev"])
    func `YAML, properties and JSON hold the same, with placeholders filled in`(_ path: String) async throws {
        try await withLibrary(ConfigFormTests.files) { library, _ in
            for end in ["yml", "yaml"] {
                let reply = await library.get("\(path).\(end)")
                #expect(reply.headers[.contentType] == "text/plain;charset=UTF-8")
                let read = try #require(try Yams.load(yaml: String(decoding: reply.body, as: UTF8.self)) as? [String: Any])
                #expect(read["url"] as? String == "https://example.com:80/${missing}")
                #expect(read["nested"] as? String == "found" && read["port"] as? Int == 80)
                #expect(read["on"] as? String == "yes" && read["number"] as? String == "007")
                #expect(read["text"] as? String == "a: b # c" && read["lines"] as? String == "one\ntwo")
                let list = try #require(read["list"] as? [Any])
                #expect(list[0] as? Int == 1 && (list[1] as? [String: Int]) == ["x": 2])
            }
            let json = await library.get("\(path).json")
            #expect(json.headers[.contentType] == "application/json")
            #expect(String(decoding: json.body, as: UTF8.self).contains(#""list":[1,{"x":2}]"#))
            let properties = await library.get("\(path).properties")
            #expect(properties.headers[.contentType] == "text/plain;charset=UTF-8")
            let lines = String(decoding: properties.body, as: UTF8.self).split(separator: "\n")
            for line in ["url: https://example.com:80/${missing}", "list[1].x: 2", "lines: one\\ntwo", "port: 80"] {
                #expect(lines.contains(Substring(line)), "\(lines)")
            }
        }
    }

    @Test func `placeholders stay where that is wished, and in the JSON of the protocol`() async throws {
        try await withLibrary(ConfigFormTests.files) { library, _ in
            #expect(await library.text("/sales-manager-dev.yml?resolvePlaceholders=false").contains("${host}"))
            let document = try await library.document("/sales-manager/dev")
            #expect(document.propertySources.last?.source["url"]?.text == "https://${host}:${port:8443}/${missing}")
        }
    }

    @Test func `a plain file is preferred as the profile has it, and filled in as text`() async throws {
        try await withLibrary(ConfigFormTests.files) { library, _ in
            #expect(await library.text("/sales-manager/default/main/nginx.conf") == "server example.com; # $uri ${missing}\n")
            #expect(await library.text("/sales-manager/dev/main/nginx.conf") == "dev 80\n")
            #expect(await library.text("/sales-manager/dev/nginx.conf?useDefaultLabel") == "dev 80\n")
            let raw = await library.get("/sales-manager/default/main/nginx.conf", [.accept: "application/octet-stream"])
            #expect(String(decoding: raw.body, as: UTF8.self) == ConfigFormTests.files["nginx.conf"])
            #expect(raw.headers[.contentType] == "application/octet-stream")
            let modified = try #require(raw.headers[.lastModified])
            #expect(try #/^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/#.wholeMatch(in: modified) != nil)
            #expect(await library.get("/sales-manager/default/main/none.conf").status == .notFound)
        }
    }
}

import Configuration
import Crypto
import CryptoExtras
import HTTPTypes
import RemoteConfiguration
import ServiceKit
import TestServers
import Testing

@Suite struct ConfigCipherTests {
    private static let rsa = (try? _RSA.Encryption.PrivateKey(keySize: .bits2048).pemRepresentation) ?? ""
    private static let p256 = P256.KeyAgreement.PrivateKey().pemRepresentation

    private static func key(_ kind: String) -> String {
        switch kind {
        case "RSA": rsa
        case "P-256": p256
        default: "any text"
        }
    }

    private static func settings(_ key: String) -> [AbsoluteConfigKey: ConfigValue] {
        ["encrypt.key": ConfigValue(.string(key), isSecret: true)]
    }

    @Test(arguments: ["symmetric", "RSA", "P-256"])
    func `what is encrypted is served decrypted, and only with the same key`(_ kind: String) async throws {
        let settings = ConfigCipherTests.settings(ConfigCipherTests.key(kind))
        try await withLibrary([:], settings: settings) { library, repository in
            let secret = "päss wörd & 100% +"
            let plain: HTTPFields = [.contentType: "text/plain"]
            let first = String(decoding: await library.post("/encrypt", secret, as: nil, plain).body, as: UTF8.self)
            let second = String(decoding: await library.post("/encrypt", secret, as: nil, plain).body, as: UTF8.self)
            #expect(first != second && !first.contains("wörd"))
            #expect(String(decoding: await library.post("/decrypt", first, as: nil, plain).body, as: UTF8.self) == secret)
            #expect(String(decoding: await library.post("/decrypt", "{cipher}\(second)\n", as: nil, plain).body, as: UTF8.self) == secret)
            #expect(await library.text("/encrypt/status") == #"{"status":"OK"}"#)

            var broken = Array(first)
            broken[broken.count / 2] = broken[broken.count / 2] == "0" ? "1" : "0"
            let yaml =
                "good: '{cipher}\(first)'\nshort: '{cipher}00'\nempty: '{cipher}'\nforeign: '{cipher}\(String(repeating: "ab", count: 32))'\n"
            try await repository.commit(["sales.yml": yaml, "sales.properties": "also = {cipher}\(second)\n"])
            _ = await library.post("/monitor", "path=sales.yml")
            let sources = try await library.document("/sales/default").propertySources
            #expect(sources[0].source == ["also": .text(secret)])
            #expect(sources[1].source["good"] == .text(secret))
            for name in ["short", "empty", "foreign"] {
                #expect(sources[1].source[name] == nil && sources[1].source["invalid.\(name)"] == .text("<n/a>"))
            }
        }
    }

    @Test func `a value that Spring's documentation shows encrypted is read`() async throws {
        // docs.spring.io, Spring Cloud Config, "Encryption and Decryption": the answer to `curl localhost:8888/encrypt -s -d mysecret`.
        let shown = "682bc583f4641835fa2db009355293665d2647dade3375c0ee201de2a49f7bda"
        try await withLibrary(["sales.yml": "a: '{cipher}\(shown)'"], settings: ConfigCipherTests.settings("foo")) { library, _ in
            let sources = try await library.document("/sales/default").propertySources
            #expect(sources[0].source == ["a": .text("mysecret")])
        }
    }

    @Test func `a public key is told, a symmetric one is not`() async throws {
        try await withLibrary([:], settings: ConfigCipherTests.settings(ConfigCipherTests.rsa)) { library, _ in
            #expect(await library.text("/key").hasPrefix("-----BEGIN PUBLIC KEY-----"))
        }
        try await withLibrary([:], settings: ConfigCipherTests.settings("a text")) { library, _ in
            let reply = await library.get("/key")
            #expect(reply.status == .notFound && !String(decoding: reply.body, as: UTF8.self).contains("a text"))
        }
    }

    @Test func `without a key nothing is encrypted, and no encrypted value is handed out`() async throws {
        try await withLibrary(["sales.yml": "a: '{cipher}abcd'"]) { library, _ in
            #expect(await library.get("/encrypt/status").status == .notFound)
            #expect(await library.post("/encrypt", "x").status == .notFound)
            #expect(await library.post("/decrypt", "x").status == .notFound)
            let sources = try await library.document("/sales/default").propertySources
            #expect(sources[0].source == ["invalid.a": .text("<n/a>")])
        }
    }

    @Test(arguments: [
        "-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
    ])
    func `a key that cannot be used stops the start`(_ key: String) throws {
        #expect(throws: (any Error).self) {
            try ConfigLibrary(
                ["backends": .list("folder:/nowhere"), "open": true].merging(ConfigCipherTests.settings(key)) { $1 })
        }
    }
}

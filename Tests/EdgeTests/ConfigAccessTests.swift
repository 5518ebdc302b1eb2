import Configuration
import Discovery
import HTTPTypes
import ServiceKit
import TestServers
import Testing

@Suite struct ConfigAccessTests {
    private static let files = [
        "application.yml": "shared: 1",
        "application-dev.yml": "shared: 2",
        "sales.yml": "secret: of-sales",
        "sales-dev.yml": "secret: of-sales",
        "sales-manager.yml": "secret: of-sales-manager",
        "sales-manager-dev.yml": "secret: of-sales-manager",
        "payments.yml": "secret: of-payments",
        "application-payments.yml": "shared: of-all-with-profile-payments",
        "payments/key.pem": "key of-payments",
        "sales/note.txt": "note of-sales",
        "sales/payments.txt": "of-payments",
        "other/file.txt": "of-nobody",
        "unknown.yml": "secret: of-unknown",
    ]

    private static let settings: [AbsoluteConfigKey: ConfigValue] = [
        "open": false, "users": .list("sales", "sales-manager", "payments", "operator"),
        "user.sales.password": "s", "user.sales-manager.password": "sm", "user.payments.password": "p",
        "user.operator.password": "o", "user.operator.applications": .list("*"),
        "user.operator.may": .list("encrypt", "decrypt", "monitor"),
        "encrypt.key": "a key",
    ]

    @Test(arguments: [
        "/sales/default", "/sales/dev", "/sales/dev/main", "/sales-dev.yml", "/main/sales-dev.json", "/application/dev",
        "/sales/default/main/sales/note.txt", "/sales/default/main/sales.yml", "/sales/default/main/application.yml",
    ])
    func `a service reads its own settings and what all share`(_ target: String) async throws {
        try await withLibrary(ConfigAccessTests.files, settings: ConfigAccessTests.settings) { library, _ in
            #expect(await library.get(target, as: "sales:s").status == .ok)
        }
    }

    @Test(arguments: [
        "/payments/default", "/payments/dev/main", "/payments-default.yml", "/main/payments-default.properties",
        "/sales-manager/default", "/sales-manager-default.yml",
        // The file sales-manager.yml is not what sales has for a profile manager.
        "/sales/manager", "/sales/default,manager", "/sales/manager-dev", "/sales-manager.yml", "/sales/dev,manager/main",
        "/unknown/default",
        "/sales/default/main/payments.yml", "/sales/default/main/payments/key.pem", "/sales/default/main/sales/payments.txt",
        "/sales/default/main/sales-manager.yml", "/sales/default/main/sales-manager-dev.yml", "/sales/default/main/other/file.txt",
        "/sales/default/main/unknown.yml", "/application/default/main/payments/key.pem", "/payments/default/main/key.pem",
        // The file that is found for the profile is sales-manager.yml.
        "/application/manager/main/sales.yml", "/application/manager-dev/main/sales.yml",
    ])
    func `no service reads what is another's`(_ target: String) async throws {
        try await withLibrary(ConfigAccessTests.files, settings: ConfigAccessTests.settings) { library, _ in
            let reply = await library.get(target, as: "sales:s")
            #expect([.forbidden, .notFound].contains(reply.status), "\(reply.status)")
            let text = String(decoding: reply.body, as: UTF8.self)
            #expect(!text.contains("of-"), "\(text)")
            // Each of them is there for who may read all.
            if !target.hasSuffix("manager-dev"), !target.hasSuffix("/payments/default/main/key.pem") {
                #expect(await library.get(target, as: "operator:o").status == .ok)
            }
        }
    }

    @Test func `an application's name may have dots`() async throws {
        let settings = ConfigAccessTests.settings.merging(
            ["users": .list("sales", "sales.eu"), "user.sales.eu.password": "eu"]) { $1 }
        let files = ["sales.yml": "secret: of-sales", "sales.eu.yml": "secret: of-sales-eu"]
        try await withLibrary(files, settings: settings) { library, _ in
            #expect(await library.get("/sales.eu/default", as: "sales.eu:eu").status == .ok)
            #expect(await library.get("/sales/default/main/sales.yml", as: "sales:s").status == .ok)
            for target in ["/sales.eu/default", "/sales/default/main/sales.eu.yml"] {
                #expect(await library.get(target, as: "sales:s").status == .forbidden)
            }
        }
    }

    @Test(arguments: [
        "/sales/payments", "/sales-payments.yml", "/sales/default,payments/main", "/sales/payments/main/application.yml",
    ])
    func `no profile leads into another's folder`(_ target: String) async throws {
        let files = ["payments/application.yml": "secret: of-payments", "sales/application.yml": "a: of-sales"]
        let settings = ConfigAccessTests.settings.merging(["searchPaths": .list("{application}", "{profile}")]) { $1 }
        try await withLibrary(files, settings: settings) { library, _ in
            let reply = await library.get(target, as: "sales:s")
            #expect(reply.status == .forbidden && !reply.text.contains("of-payments"), "\(reply.text)")
            #expect(await library.get(target, as: "operator:o").text.contains("of-payments"))
            #expect(await library.get("/sales/default", as: "sales:s").text.contains("of-sales"))
        }
    }

    @Test(arguments: [nil, "sales:", "sales:wrong", "nobody:s", ":s", "payments:s"])
    func `who is not known reads nothing`(_ user: String?) async throws {
        try await withLibrary(ConfigAccessTests.files, settings: ConfigAccessTests.settings) { library, _ in
            for target in ["/sales/default", "/sales-dev.yml", "/sales/default/main/sales.yml", "/key", "/encrypt/status"] {
                let reply = await library.get(target, as: user)
                #expect(reply.status == .unauthorized)
                #expect(reply.headers[.wwwAuthenticate]?.hasPrefix("Basic") == true)
            }
        }
    }

    @Test(arguments: ["/encrypt", "/decrypt", "/monitor"])
    func `encrypting, decrypting and announcing are rights of their own`(_ target: String) async throws {
        try await withLibrary(ConfigAccessTests.files, settings: ConfigAccessTests.settings) { library, _ in
            #expect(await library.post(target, "path=sales.yml").status == .unauthorized)
            #expect(await library.post(target, "path=sales.yml", as: "sales:s").status == .forbidden)
            let answered = await library.post(target, "path=sales.yml", as: "operator:o").status
            #expect(answered == (target == "/decrypt" ? .badRequest : .ok))
            #expect(await library.get(target, as: "operator:o").status == .methodNotAllowed)
        }
    }

    @Test(arguments: [
        "git:https://me:hidden@host/x.git", "git:https://hidden@host/x.git", "git:ssh://git:hidden@host/x", "svn:http://me:hidden@host",
    ])
    func `a password in the address of a repository is refused, and not said again`(_ place: String) {
        #expect {
            try ConfigLibrary(["backends": .list("folder:/nowhere", place), "open": true])
        } throws: { error in
            let problem = error as? Problem
            return problem?.detail?.contains("in place 2") == true && !"\(error)".contains("hidden")
        }
        #expect(throws: Never.self) {
            try ConfigLibrary(["backends": .list("git:ssh://git@host/x.git", "git:git@host:x.git"), "open": true])
        }
    }

    @Test func `a setting of another type is refused, and not replaced by its default`() {
        let settings: [AbsoluteConfigKey: ConfigValue] = ["backends": .list("folder:/nowhere"), "open": true]
        for key in ["refreshSeconds", "git.seconds", "open"] {
            #expect(throws: Problem.self) {
                try ConfigLibrary(settings.merging([AbsoluteConfigKey(ConfigKey(key)): "soon"]) { $1 })
            }
        }
        #expect(throws: Problem.self) { try RegistryDesk(["preservation.enabled": "perhaps"]) }
        #expect(throws: Problem.self) { try RegistryDesk(["most.instances": "many"]) }
    }

    @Test func `a server that nobody could use does not start`() throws {
        let places: [AbsoluteConfigKey: ConfigValue] = ["backends": .list("folder:/nowhere")]
        #expect(throws: (any Error).self) { try ConfigLibrary([:]) }
        #expect(throws: (any Error).self) { try ConfigLibrary(places) }
        #expect(throws: (any Error).self) { try ConfigLibrary(places.merging(["users": .list("a")]) { $1 }) }
        #expect(throws: (any Error).self) {
            try ConfigLibrary(places.merging(["users": .list("a"), "user.a.password": "x", "user.a.may": .list("fly")]) { $1 })
        }
        #expect(throws: (any Error).self) { try ConfigLibrary(["backends": .list("svn:x"), "open": true]) }
        #expect(throws: Never.self) { try ConfigLibrary(places.merging(["users": .list("a"), "user.a.password": "x"]) { $1 }) }
    }
}

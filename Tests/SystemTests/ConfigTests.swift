import AsyncHTTPClient
import Contracts
import Discovery
import Foundation
import HTTPTypes
import NIOCore
import NIOHTTP1
import Synchronization
import TestServers
import Testing
import Values

extension WholeSystem {
    /// Settings that come from a Config Server.
    @Suite struct ConfigTests {
        // MARK: Clients of others

        @Test func `clients that were written for Spring's server read settings, files and secrets`() async throws {
            let files = [
                "application.yml": "common: {greeting: hello, list: [1, 2]}\n", "simpleweb.yml": "own: {port: 8080}\n",
                "simpleweb-development.yml": "own: {port: 9090, url: \"http://${host:localhost}:${own.port}\"}\n",
                "nginx.conf": "server;\n",
            ]
            try await ConfigServerProcess.with(files) { server in
                let secret = try await server.post("/encrypt", "geheim", type: "text/plain")
                try await server.publish(["simpleweb.properties": "own.secret={cipher}\(secret)\n"])
                let script = """
                    import sys
                    from config.spring import ConfigClient
                    from spring_config import ClientConfigurationBuilder
                    from spring_config.client import SpringConfigClient

                    address, password = sys.argv[1:]
                    auth = ("operator", password)
                    client = ConfigClient(address=address, app_name="simpleweb", profile="development", label="main")
                    client.get_config(auth=auth)
                    assert client.get("own.port") == 9090, client.config
                    assert client.get("common.greeting") == "hello", client.config
                    assert client.get("own.secret") == "geheim", client.config
                    assert client.get_file("nginx.conf", auth=auth) == "server;\\n"
                    encrypted = client.encrypt("plain+ 1", auth=auth)
                    assert encrypted != "plain+ 1" and client.decrypt(encrypted, auth=auth) == "plain+ 1"
                    try:
                        ConfigClient(address=address, app_name="simpleweb", profile="development", label="nope").get_config(auth=auth)
                        raise AssertionError("an unknown label was found")
                    except SystemExit:
                        pass

                    configuration = (
                        ClientConfigurationBuilder().app_name("simpleweb").address(address).branch("main")
                        .profile("development").authentication(auth).build()
                    )
                    spring = SpringConfigClient(configuration)
                    assert spring.get_attribute("own.port") == 9090, spring.get_config()
                    assert spring.get_attribute("own.url") == "http://localhost:9090", spring.get_config()
                    assert spring.get_attribute("common.list") == [1, 2], spring.get_config()
                    assert set(spring.get_keys()) == {"common", "own"}, spring.get_config()
                    print("both clients are content")
                    """
                let run = try await ChildProcess.run(
                    "\(RunningProgram.repository)/.venv/bin/python", ["-c", script, server.url, ConfigServerProcess.operatorPassword])
                #expect(run.end == .exit(0) && run.output.contains("both clients are content"), "\(run.output)\(run.errors)")
            }
        }

        // MARK: Live

        @Test func `what is committed and announced is in force everywhere within a second, and no request fails`() async throws {
            let before = "salesManager: {cart.seconds: 600}\n"
            try await ConfigServerProcess.with(["application.yml": "log.level: info\n", "sales-manager.yml": before]) { server in
                try await withProgram(shape: .distributed, partSettings: server.clientSettings(of:)) { program in
                    let shop = try await program.shop(capacity: 10_000)
                    let processes = program.parts.map { $0.process?.id }
                    let load = Load()
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for _ in 0..<4 { group.addTask { await load.run { _ = try await shop.cart() } } }
                        try await eventually("there is some load") { load.done > 10 }

                        var delays: [TimeSpan] = []
                        for (round, seconds) in [77, 88, 99].enumerated() {
                            let parts = try await applied(in: program)
                            #expect(parts.count >= program.parts.count)
                            // One setting that all have, and one of a single service.
                            try await server.repository.commit([
                                "application.yml": "log.level: \(round % 2 == 0 ? "notice" : "info")\n",
                                "sales-manager.yml": "salesManager: {cart.seconds: \(seconds)}\n",
                            ])
                            let start = Instant.now
                            try await server.post("/monitor", "path=application.yml&path=sales-manager.yml")
                            let times = try await eventually("all instances have it", within: .seconds(10), every: .milliseconds(200)) {
                                let now = try await applied(in: program)
                                return parts.keys.allSatisfy { now[$0].map { $0 > start } ?? false } ? now : nil
                            }
                            delays.append((times.values.max() ?? .now) - start)
                            // Both instances of the service serve some of these.
                            let carts = try await atOnce(12) { _ in try await program.cart(for: shop.event.id) }
                            let now = Instant.now
                            #expect(carts.allSatisfy { ($0.expiresAt - now) <= .seconds(Int64(seconds)) })
                            #expect(carts.allSatisfy { ($0.expiresAt - now) > .seconds(Int64(seconds) - 10) })
                        }
                        load.end()
                        try await group.waitForAll()
                        print(
                            "a setting was in force in all \(program.parts.count) processes after \(delays.map(\.seconds)) s, while \(load.done) carts were filled"
                        )
                        // One of them may have met a moment at which the machine had something else to do.
                        #expect(delays.sorted()[1] < .seconds(1))
                    }
                    #expect(load.failures.isEmpty, "\(load.failures.first ?? "")")
                    #expect(program.parts.map { $0.process?.id } == processes && program.isRunning, "something was restarted")
                }
            }
        }

        /// When settings came into force last, by process and part of it. A part that has no settings is left out.
        private func applied(in program: RunningProgram) async throws -> [String: Instant] {
            try await withThrowingTaskGroup(of: [(String, Instant)].self) { group in
                for (index, part) in program.parts.enumerated() {
                    guard let address = part.operatorAddress else { continue }
                    group.addTask {
                        let answer = try await program.http.execute(HTTPClientRequest(url: "\(address)/metrics"), timeout: .seconds(5))
                        let text = String(buffer: try await answer.body.collect(upTo: 8 << 20))
                        return text.split(separator: "\n").compactMap { line in
                            let words = line.split(separator: " ")
                            guard line.hasPrefix("settings_applied_timestamp_seconds{"), let time = Double(words[1]), time > 0 else {
                                return nil
                            }
                            return ("\(index) \(words[0])", Instant(microseconds: Int64(time * 1_000_000)))
                        }
                    }
                }
                return try await group.reduce(into: [:]) { all, some in for (name, time) in some { all[name] = time } }
            }
        }

        @Test func `what an operator changes is what happens next`() async throws {
            try await ConfigServerProcess.with(["application.yml": "{}"]) { server in
                try await withProgram(server.clientSettings, shape: .together) { program in
                    let shop = try await program.shop()
                    try await server.publish([
                        "application.yml": """
                        log.level: error
                        salesManager: {cart.seconds: 120, order.seconds: 240}
                        ticketManager.hold.seconds: 60
                        notification: {mail: {fromName: A New Name, from: new@example.org}, publicURL: "https://new.example.org"}
                        paymentProcessing: {providers: [manual], manual.account: IBAN NEW}
                        eventManager.organizers.per.user: 1
                        authentication.login.failures: 1

                        """
                    ])
                    try await eventually("a cart has the new time") {
                        let cart = try await program.cart(for: shop.event.id)
                        return cart.expiresAt - .now <= .seconds(120)
                    }
                    let order = try await shop.cart().buy(card: Card.wantsConfirmation)
                    #expect(try #require(order.order.expiresAt) - .now <= .seconds(240))
                    let manual = try await shop.cart().checkOut(choice: PaymentChoice(provider: "manual", method: "bank-transfer"))
                    #expect(manual.text.contains("IBAN NEW"), "\(manual.text)")
                    _ = try await shop.buy(buyer: Buyer(email: "late@example.org", name: "Late"))
                    let mail = try await eventually("the mail is there") { try await program.mails(to: "late@example.org").first }
                    #expect(mail.text.contains("https://new.example.org/") && !mail.text.contains("http://127.0.0.1"))
                    let second = try await program.call(
                        EventManagerRoutes.createOrganizer, as: shop.owner.caller,
                        body: NewOrganizer(name: "Second", email: "a@example.org"))
                    #expect(second.status >= 400 && second.status < 500, "\(second.text)")
                    let wrong = Credentials(email: shop.owner.user.email, password: "wrong")
                    #expect(try await program.call(AuthenticationRoutes.login, body: wrong).status == 401)
                    #expect(try await program.call(AuthenticationRoutes.login, body: wrong).status == 429)
                    let said = program.log.split(separator: "\n").count { $0.contains("settings changed") }

                    // One wrong value stops only the settings of its service, and is said.
                    try await server.publish([
                        "application.yml": "log.level: error\nsalesManager.cart.seconds: -5\nticketManager.hold.seconds: 61\n"
                    ])
                    try await eventually("the mistake is logged") { program.log.contains("new settings cannot be used") }
                    // What is less than an error is no longer logged.
                    #expect(program.log.split(separator: "\n").count { $0.contains("settings changed") } == said)
                    #expect(try await program.cart(for: shop.event.id).expiresAt - .now <= .seconds(120))
                }
            }
        }

        @Test func `a YAML file is followed too`() async throws {
            let folder = try TemporaryFolder()
            defer { folder.remove() }
            let file = "\(folder.path)/settings.yml"
            try "salesManager: {cart.seconds: 500}\n".write(toFile: file, atomically: true, encoding: .utf8)
            try await withProgram(["TICKETFLOW_CONFIG": file], shape: .together) { program in
                #expect(try await program.cart().expiresAt - .now > .seconds(400))
                try "salesManager: {cart.seconds: 50}\n".write(toFile: file, atomically: true, encoding: .utf8)
                try await eventually("the new time is in force") { try await program.cart().expiresAt - .now <= .seconds(50) }
            }
        }

        // MARK: Without a server

        @Test func `without the Config Server what runs goes on, and what starts does so with its last settings`() async throws {
            try await ConfigServerProcess.with(["application.yml": "salesManager.cart.seconds: 77\n"]) { server in
                try await withProgram(server.clientSettings, shape: .together) { program in
                    func lifetime() async throws -> TimeSpan { try await program.cart().expiresAt - .now }
                    #expect(try await lifetime() <= .seconds(77))
                    #expect(try await ready(program).contains(#""config-server":"ok""#))
                    try await server.stop()
                    try await eventually("health says so") { try await ready(program).contains(#""config-server":"failed""#) }
                    #expect(try await ready(program).contains(#""status":"ready""#))
                    let shop = try await program.shop()
                    _ = try await shop.paid()

                    try await program.restart()
                    #expect(try await lifetime() <= .seconds(77))
                    #expect(try await ready(program).contains(#""config-server":"failed""#))
                    let kept = try FileManager.default.contentsOfDirectory(atPath: "\(program.data)/settings")
                    #expect(kept.count == 1)
                    for name in kept {
                        let attributes = try FileManager.default.attributesOfItem(atPath: "\(program.data)/settings/\(name)")
                        #expect(attributes[.posixPermissions] as? Int == 0o600)
                    }

                    // It comes back with other settings, and nobody has to say so.
                    try await server.repository.commit(["application.yml": "salesManager.cart.seconds: 33\n"])
                    try await server.start()
                    try await server.post("/monitor", "path=*")
                    try await eventually("the new settings are in force") { try await lifetime() <= .seconds(33) }
                    try await eventually("health says so") { try await ready(program).contains(#""config-server":"ok""#) }
                }
            }
        }

        private func ready(_ program: RunningProgram) async throws -> String {
            let answer = try await program.send(.get, "/health/ready")
            #expect(answer.status == 200)
            return answer.text
        }

        // MARK: What is shown

        @Test func `the command shows what is in force, where it comes from, and no secret`() async throws {
            let yaml = "salesManager.cart.seconds: 77\nnotification.smtp: {host: mail.example.org, password: not-to-be-seen}\n"
            try await ConfigServerProcess.with(["application.yml": yaml]) { server in
                let settings = server.clientSettings.merging(
                    ["TICKETFLOW_SALES_MANAGER_ORDER_SECONDS": "444", "TICKETFLOW_CONFIG_PASSWORD": ConfigServerProcess.readerPassword]
                ) { $1 }
                let folder = try TemporaryFolder()
                defer { folder.remove() }
                let table = try await ChildProcess.run(
                    RunningProgram.executable, ["config", "--data", folder.path], environment: settings)
                #expect(table.end == .exit(0), "\(table.errors)")
                func row(_ setting: String) -> [Substring] {
                    table.output.split(separator: "\n").first { $0.hasPrefix("\(setting) ") }?.split(separator: " ") ?? []
                }
                #expect(row("salesManager.cart.seconds").dropFirst().joined(separator: " ") == "77 Config Server")
                #expect(row("salesManager.order.seconds").dropFirst().joined(separator: " ") == "444 environment")
                #expect(row("ticketManager.hold.seconds").dropFirst().joined(separator: " ") == "600 default")
                #expect(row("data").dropFirst().joined(separator: " ") == "\(folder.path) flag")
                #expect(row("notification.smtp.password").dropFirst().joined(separator: " ") == "(secret) Config Server")
                for output in [table.output, table.errors] {
                    #expect(!output.contains("not-to-be-seen") && !output.contains(ConfigServerProcess.readerPassword))
                }
                let json = try await ChildProcess.run(
                    RunningProgram.executable, ["config", "sales-manager", "--json", "--data", folder.path], environment: settings)
                let list = try #require(try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [[String: Any]])
                let cart = try #require(list.first { $0["setting"] as? String == "salesManager.cart.seconds" })
                #expect(cart["value"] as? String == "77" && cart["source"] as? String == "Config Server")
                #expect(!json.output.contains(ConfigServerProcess.readerPassword))
            }
        }

        @Test(arguments: [
            ["TICKETFLOW_CONFIG_SERVER_BACKENDS": "git:https://me:hidden-one@host/x.git", "TICKETFLOW_CONFIG_SERVER_OPEN": "true"],
            ["TICKETFLOW_CONFIG_URLS": "http://me:hidden-one@127.0.0.1:1"], ["TICKETFLOW_CONFIG_URLS": "hidden-one"],
        ])
        func `a password in a URL is refused, and not shown`(_ settings: [String: String]) async throws {
            let role = settings["TICKETFLOW_CONFIG_URLS"] == nil ? "config-server" : "sales-manager"
            let folder = try TemporaryFolder()
            defer { folder.remove() }
            for command in ["config", "serve"] {
                let run = try await ChildProcess.run(
                    RunningProgram.executable, [command, role, "--data", folder.path], environment: settings)
                #expect(run.end != .exit(0) && run.errors.contains("in place 1"), "\(run.errors)")
                #expect(!run.output.contains("hidden-one") && !run.errors.contains("hidden-one"), "\(run.output)\(run.errors)")
            }
        }

        @Test func `a service's credentials do not read another's secrets`() async throws {
            let files = ["sales-manager.yml": "database.url: secret-of-sales", "ticket-manager.yml": "database.url: secret-of-tickets"]
            try await ConfigServerProcess.with(files) { server in
                let folder = try TemporaryFolder()
                defer { folder.remove() }
                for (role, user, owner, isAllowed) in [
                    ("sales-manager", "sales-manager", "sales-manager", true), ("ticket-manager", "sales-manager", "sales-manager", false),
                    ("ticket-manager", "ticket-manager", "ticket-manager", true),
                    ("ticket-manager", "ticket-manager", "sales-manager", false),
                ] {
                    var request = HTTPClientRequest(url: "\(server.url)/\(role)/default")
                    request.setBasicAuth(username: user, password: ConfigServerProcess.password(of: owner))
                    let answer = try await HTTPClient.shared.execute(request, timeout: .seconds(5))
                    let text = String(buffer: try await answer.body.collect(upTo: 1 << 20))
                    #expect(text.contains("secret-of-") == isAllowed && (answer.status == .ok) == isAllowed, "\(role) by \(user): \(text)")
                }
            }
        }
    }
}

/// Something that is done again and again while the test does something else.
private final class Load: Sendable {
    private let state = Mutex((done: 0, failures: [String](), isOver: false))

    func run(_ work: () async throws -> Void) async {
        while !Task.isCancelled, !state.withLock({ $0.isOver }) {
            do {
                try await work()
                state.withLock { $0.done += 1 }
            } catch {
                state.withLock { $0.failures.append("\(error)") }
            }
        }
    }

    func end() { state.withLock { $0.isOver = true } }
    var done: Int { state.withLock { $0.done } }
    var failures: [String] { state.withLock { $0.failures } }
}

extension ShoppingCart {
    fileprivate func checkOut(choice: PaymentChoice) async throws -> Answer {
        try await program.call(
            SalesManagerRoutes.checkout, ["\(id)"], as: caller, key: UUID().uuidString, body: CheckoutRequest(buyer: .ada, payment: choice))
    }
}

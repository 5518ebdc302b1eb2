import Authentication
import Configuration
import Contracts
import Discovery
import Foundation
import HTTPTypes
import Passwords
import ServiceKit
import Storage
import Testing
import Values

@Suite("Authentication")
struct AuthenticationTests {
    /// The cheapest hash that argon2 knows.
    static let cheap: [AbsoluteConfigKey: ConfigValue] = ["argon2.memory.kibibytes": 8, "argon2.passes": 1]

    typealias Harness = ServiceHarness<AuthenticationService>

    // MARK: Accounts

    @Test func `registering makes an account with a normalised address and asks for its verification`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            let answer = try await service.call(
                .post, "/api/v1/auth/register",
                body: Registration(email: "  Ada@Example.ORG ", password: "correct horse", name: "Ada 👩‍💻 عدا", locale: "de-AT"))
            #expect(answer.status == 201)
            #expect(answer.headers[.location] == "/api/v1/auth/me")
            let user = try answer.json(RegistrationAnswer.self).user
            #expect(user.email == "ada@example.org")
            #expect(user.name == "Ada 👩‍💻 عدا")
            #expect(user.locale == "de-AT")
            #expect(!user.isEmailVerified && !user.isAdmin)
            #expect(!answer.text.contains("correct horse") && !answer.text.contains("argon2"))
            let events = try await service.sent(UserRegistered.self)
            #expect(events.map(\.userId) == [user.id])
            #expect(events.first?.email == "ada@example.org")
        }
    }

    @Test func `an address has one account, however it is written`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            _ = try await service.register("ada@example.org")
            let again = try await service.call(
                .post, "/api/v1/auth/register", body: Registration(email: "ADA@example.org", password: "another one", name: "Eve"))
            #expect(again.status == 409)
            #expect(again.problem == "email-taken")
            #expect(try await service.sent(UserRegistered.self).count == 1)
        }
    }

    @Test func `of many registrations of one address at once one wins`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            let statuses = try await service.statuses(of: 20) { _ in
                try await service.call(
                    .post, "/api/v1/auth/register", body: Registration(email: "ada@example.org", password: "correct horse", name: "Ada"))
            }
            #expect(statuses == [201: 1, 409: 19])
        }
    }

    @Test(arguments: [
        #"{}"#, #"[]"#, #"{"email":1,"password":"correct horse","name":"Ada"}"#,
        #"{"email":"ada","password":"correct horse","name":"Ada"}"#,
        // No mail can go there.
        #"{"email":"ada@bücher.example","password":"correct horse","name":"Ada"}"#,
        #"{"email":"a..b@example.org","password":"correct horse","name":"Ada"}"#,
        #"{"email":"ada@example.org\r\nBcc: x@y.z","password":"correct horse","name":"Ada"}"#,
        #"{"email":"ada@example.org","password":"short","name":"Ada"}"#,
        #"{"email":"ada@example.org","password":"correct horse","name":"  "}"#,
        #"{"email":"ada@example.org","password":"correct horse","name":"Ada\nBcc: x@y.z"}"#,
        #"{"email":"ada@example.org","password":"correct horse","name":"Ada","locale":"../../etc"}"#,
        #"{"email":"ada@example.org","password":"correct horse","name":"Ada","locale":""}"#,
        #"{"email":"ada@example.org","password":null,"name":"Ada"}"#,
        #"{"email":"ada@example.org","password":"correct horse","name":"LONG"}"#,
        #"{"email":"ada@example.org","password":"LONG","name":"Ada"}"#,
        #"{"email":"LONG@example.org","password":"correct horse","name":"Ada"}"#,
    ])
    func `a registration that cannot be is refused`(json: String) async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            let long = String(repeating: "é", count: 10_000)
            let answer = try await service.call(.post, "/api/v1/auth/register", json: json.replacing("LONG", with: long))
            #expect(answer.status == 422)
            #expect(try await service.sent(UserRegistered.self).isEmpty)
        }
    }

    @Test(arguments: ["", "{", #"{"email":"ada@example.org","password":"correct\u0000horse","name":"Ada"}"#])
    func `a body that cannot be understood is refused`(json: String) async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            let answer = try await service.call(.post, "/api/v1/auth/register", json: json)
            #expect(answer.status == 400)
        }
    }

    @Test func `all mistakes are told at once`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            let answer = try await service.call(
                .post, "/api/v1/auth/register", body: Registration(email: "x", password: "x", name: "", locale: "?"))
            #expect(try answer.json(Problem.self).errors.map(\.field) == ["email", "name", "password", "locale"])
        }
    }

    @Test func `the token of the mail verifies the address, also twice`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            let user = try await service.register("ada@example.org")
            let token = try #require(try await service.sent(UserRegistered.self).first).verificationToken
            for _ in 0..<2 {
                #expect(
                    try await service.call(.post, "/api/v1/auth/verify-email", body: VerifyEmailRequest(token: token)).status == 204)
            }
            #expect(try await service.call(.get, "/api/v1/auth/me", as: .user(user.id)).json(User.self).isEmailVerified)
            let session = try await service.login("ada@example.org").json(Session.self)
            let identity = try await service.identity(session.accessToken)
            #expect(identity.user?.isEmailVerified == true)
        }
    }

    @Test func `another token verifies nothing`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            let user = try await service.register("ada@example.org")
            for token in ["", "x", String(repeating: "x", count: 10_000)] {
                let answer = try await service.call(.post, "/api/v1/auth/verify-email", body: VerifyEmailRequest(token: token))
                #expect(answer.status == 422)
            }
            #expect(try await !service.call(.get, "/api/v1/auth/me", as: .user(user.id)).json(User.self).isEmailVerified)
        }
    }

    @Test func `one's own account is for oneself`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            let user = try await service.register("ada@example.org")
            #expect(try await service.call(.get, "/api/v1/auth/me", as: .user(user.id)).json(User.self) == user)
            #expect(try await service.call(.get, "/api/v1/auth/me").status == 401)
            #expect(try await service.call(.get, "/api/v1/auth/me", as: .user(UserID())).status == 401)
            #expect(try await service.call(.get, "/api/v1/auth/me", as: .service(.salesManager)).status == 401)
        }
    }

    // MARK: Signing in

    @Test func `signing in gives a token that the key document verifies`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            let user = try await service.register("ada@example.org")
            let answer = try await service.login(" ADA@example.org")
            #expect(answer.status == 200)
            #expect(answer.headers[.cacheControl] == "no-store")
            let session = try answer.json(Session.self)
            #expect(session.tokenType == "Bearer" && session.expiresIn == 900)
            #expect(session.user == user)
            let identity = try #require(try await service.identity(session.accessToken).user)
            #expect(identity.id == user.id && identity.email == "ada@example.org")
            #expect(!identity.isAdmin && !identity.isEmailVerified)
        }
    }

    @Test func `an unknown address and a wrong password get the same answer`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            _ = try await service.register("ada@example.org")
            var answers: [Problem] = []
            for (email, password) in [
                ("ada@example.org", "wrong horse"), ("eve@example.org", "wrong horse"), ("", ""), ("👩‍💻", "مرحبا"),
                ("ada@example.org", String(repeating: "x", count: 10_000)), (String(repeating: "x", count: 10_000), "x"),
            ] {
                let answer = try await service.login(email, password)
                #expect(answer.status == 401)
                answers.append(try answer.json(Problem.self))
            }
            #expect(Set(answers.map(\.code)) == ["wrong-credentials"])
            #expect(Set(answers.map(\.detail)).count == 1)
        }
    }

    /// The least of several runs in turn, and a wide margin, so that a busy machine changes nothing: without the decoy hash
    /// the unknown address is answered many times faster.
    @Test func `an unknown address takes as long as a wrong password`() async throws {
        try await withService(AuthenticationService.self, settings: ["login.failures": 1_000]) { service in
            _ = try await service.register("ada@example.org")
            var (known, unknown) = (Duration.seconds(60), Duration.seconds(60))
            for _ in 0..<12 {
                known = min(known, try await ContinuousClock().measure { _ = try await service.login("ada@example.org", "wrong") })
                unknown = min(unknown, try await ContinuousClock().measure { _ = try await service.login("eve@example.org", "wrong") })
            }
            #expect(unknown > known / 4 && known > unknown / 4)
        }
    }

    @Test(arguments: ["ada@example.org", "nobody@example.org"])
    func `ten failures close an address for a while, known or not`(email: String) async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            _ = try await service.register("ada@example.org")
            for _ in 0..<10 { #expect(try await service.login(email, "wrong horse").status == 401) }
            let refused = try await service.login(email.uppercased())
            #expect(refused.status == 429)
            #expect(refused.problem == "too-many-attempts")
            let wait = try #require(refused.headers[.retryAfter].flatMap { Int($0) })
            #expect((1...901).contains(wait))
            #expect(try await service.register("eve@example.org").email == "eve@example.org")
            #expect(try await service.login("eve@example.org").status == 200)
        }
    }

    @Test func `failures are forgotten after their window, and by the right password`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            _ = try await service.register("ada@example.org")
            for _ in 0..<10 { _ = try await service.login("ada@example.org", "wrong horse") }
            try await service.endLoginWindows()
            for _ in 0..<9 { #expect(try await service.login("ada@example.org", "wrong horse").status == 401) }
            #expect(try await service.login("ada@example.org").status == 200)
            for _ in 0..<9 { #expect(try await service.login("ada@example.org", "wrong horse").status == 401) }
            #expect(try await service.login("ada@example.org").status == 200)
            _ = try await service.login("ada@example.org", "wrong horse")
            try await service.endLoginWindows()
            try await service.run("expired")
            #expect(try await service.count("login_failure") == 0)
        }
    }

    @Test func `guesses that come at once are counted like guesses in turn`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            _ = try await service.register("ada@example.org")
            let wrong = try await service.statuses(of: 20) { _ in try await service.login("ada@example.org", "wrong horse") }
            #expect(wrong == [401: 10, 429: 10])
            #expect(try await service.count("login_failure") == 1)
        }
    }

    @Test func `the right password at once from many places is let in everywhere`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            _ = try await service.register("ada@example.org")
            #expect(try await service.statuses(of: 15) { _ in try await service.login("ada@example.org") } == [200: 15])
        }
    }

    @Test func `a flood of passwords is refused instead of making everybody wait`() async throws {
        try await withService(AuthenticationService.self, settings: ["password.queue": 2]) { service in
            let statuses = try await service.statuses(of: 50) { number in try await service.login("user\(number)@example.org") }
            #expect(Set(statuses.keys) == [401, 503])
            #expect(try await service.login("ada@example.org").status == 401)
        }
    }

    @Test func `a hash of another strength is made anew at the next sign-in`() async throws {
        let folder = NSTemporaryDirectory() + "ticketflow-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await withService(AuthenticationService.self, settings: Self.cheap, folder: folder) { service in
            _ = try await service.register("ada@example.org")
            #expect(try await service.text("SELECT password_hash AS text FROM user_account").contains("m=8,t=1"))
        }
        try await withService(
            AuthenticationService.self, settings: ["argon2.memory.kibibytes": 16, "argon2.passes": 2], folder: folder
        ) { service in
            let answer = try await service.login("ada@example.org")
            #expect(answer.status == 200)
            #expect(try await service.text("SELECT password_hash AS text FROM user_account").contains("m=16,t=2"))
            #expect(try await service.login("ada@example.org").status == 200)
        }
    }

    @Test(arguments: ["argon2.passes", "access.token.seconds", "login.failures", "refresh.token.days"])
    func `a setting that cannot be is refused at start`(key: String) async throws {
        await #expect(throws: Problem.self) {
            try await withService(
                AuthenticationService.self, settings: [AbsoluteConfigKey(key.split(separator: ".").map(String.init)): 0]
            ) { _ in }
        }
    }

    // MARK: Sessions

    @Test func `a refresh token is good once and gives the next`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            let user = try await service.register("ada@example.org")
            var session = try await service.login("ada@example.org").json(Session.self)
            for _ in 0..<3 {
                let answer = try await service.refresh(session.refreshToken)
                #expect(answer.status == 200)
                let next = try answer.json(Session.self)
                #expect(next.refreshToken != session.refreshToken)
                #expect(try await service.identity(next.accessToken).user?.id == user.id)
                session = next
            }
        }
    }

    @Test func `a refresh token that comes again ends the whole family, and no other`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            _ = try await service.register("ada@example.org")
            let first = try await service.login("ada@example.org").json(Session.self)
            let elsewhere = try await service.login("ada@example.org").json(Session.self)
            let second = try await service.refresh(first.refreshToken).json(Session.self)
            let third = try await service.refresh(second.refreshToken).json(Session.self)
            #expect(try await service.refresh(first.refreshToken).status == 401)
            #expect(try await service.refresh(third.refreshToken).status == 401)
            #expect(try await service.refresh(third.refreshToken).problem == "refresh-token-invalid")
            #expect(try await service.refresh(elsewhere.refreshToken).status == 200)
        }
    }

    @Test func `of two who refresh with one token at once neither keeps the session`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            _ = try await service.register("ada@example.org")
            let session = try await service.login("ada@example.org").json(Session.self)
            let answers = try await service.all(of: 2) { _ in try await service.refresh(session.refreshToken) }
            #expect(answers.map(\.status).sorted() == [200, 401])
            let winner = try #require(answers.first { $0.status == 200 }).json(Session.self)
            #expect(try await service.refresh(winner.refreshToken).status == 401)
        }
    }

    @Test func `a session that nobody refreshed ends`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            _ = try await service.register("ada@example.org")
            let session = try await service.login("ada@example.org").json(Session.self)
            try await service.database.write { tx in
                try tx.execute("UPDATE refresh_token SET expires_at = \(tx.now)")
                try tx.execute("UPDATE session SET expires_at = \(tx.now)")
            }
            #expect(try await service.refresh(session.refreshToken).status == 401)
            try await service.run("expired")
            #expect(try await service.count("session") == 0)
            #expect(try await service.count("refresh_token") == 0)
        }
    }

    @Test func `signing out ends the session by any of its tokens and always answers alike`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            _ = try await service.register("ada@example.org")
            let first = try await service.login("ada@example.org").json(Session.self)
            let second = try await service.refresh(first.refreshToken).json(Session.self)
            for token in [first.refreshToken, second.refreshToken, "", "unknown"] {
                let answer = try await service.call(.post, "/api/v1/auth/logout", body: RefreshRequest(refreshToken: token))
                #expect(answer.status == 204)
                #expect(answer.body.isEmpty)
            }
            #expect(try await service.refresh(second.refreshToken).status == 401)
        }
    }

    @Test func `sessions of one user are bounded; the oldest end`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            _ = try await service.register("ada@example.org")
            let oldest = try await service.login("ada@example.org").json(Session.self)
            for _ in 0..<100 { _ = try await service.login("ada@example.org") }
            #expect(try await service.count("session") == 100)
            #expect(try await service.refresh(oldest.refreshToken).status == 401)
        }
    }

    @Test func `what is stored opens nothing`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            _ = try await service.register("ada@example.org")
            let session = try await service.login("ada@example.org").json(Session.self)
            let verification = try #require(try await service.sent(UserRegistered.self).first).verificationToken
            let stored = try await service.database.read { tx in
                try tx.rows("SELECT hash AS text FROM refresh_token").map { try $0["text"] as String }
                    + tx.rows("SELECT password_hash AS text FROM user_account").map { try $0["text"] as String }
                    + tx.rows("SELECT verification_hash AS text FROM user_account").map { try $0["text"] as String }
            }.joined(separator: " ")
            for secret in [session.refreshToken, verification, Harness.password] { #expect(!stored.contains(secret)) }
            #expect(stored.contains("$argon2id$"))
            #expect(try await service.refresh(stored.split(separator: " ").first.map(String.init) ?? "").status == 401)
        }
    }

    // MARK: Members

    @Test func `owners list, add, change and remove members`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            let (organizer, owner) = try await service.organizer()
            let door = try await service.verified("door@example.org")
            let path = "/api/v1/organizers/\(organizer)/members"
            let added = try await service.call(
                .post, path, as: .user(owner.id), body: NewMember(email: "Door@example.org", role: .door))
            #expect(added.status == 201)
            #expect(added.headers[.location] == "\(path)/\(door.id)")
            let changed = try await service.call(
                .post, path, as: .user(owner.id), body: NewMember(email: "door@example.org", role: .manager))
            #expect(changed.status == 200)
            #expect(try changed.json(Member.self).role == .manager)

            let list = try await service.call(.get, path, as: .user(owner.id)).json(Page<Member>.self)
            #expect(list.items.map(\.role) == [.owner, .manager] && list.next == nil)
            let first = try await service.call(.get, path + "?limit=1", as: .user(owner.id)).json(Page<Member>.self)
            #expect(first.items.map(\.userId) == [owner.id])
            let next = try #require(first.next)
            let second = try await service.call(.get, path + "?limit=1&after=\(next)", as: .user(owner.id)).json(Page<Member>.self)
            #expect(second.items.map(\.userId) == [door.id] && second.next == nil)

            let me = try await service.call(.get, "/api/v1/auth/me", as: .user(door.id)).json(User.self)
            #expect(me.memberships == [Membership(organizerId: organizer, role: .manager)])

            #expect(try await service.call(.delete, "\(path)/\(door.id)", as: .user(owner.id)).status == 204)
            #expect(try await service.call(.delete, "\(path)/\(door.id)", as: .user(owner.id)).status == 404)
            #expect(try await service.call(.get, path, as: .user(door.id)).status == 404)
        }
    }

    @Test func `members are the business of owners and administrators alone`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            let (organizer, owner) = try await service.organizer()
            let (foreign, stranger) = try await service.organizer(owner: "stranger@example.org")
            let manager = try await service.verified("manager@example.org")
            let path = "/api/v1/organizers/\(organizer)/members"
            let member = NewMember(email: "manager@example.org", role: .manager)
            #expect(try await service.call(.post, path, as: .user(owner.id), body: member).status == 201)
            for (caller, status) in [
                (TestCaller.nobody, 401), (.user(stranger.id), 404), (.user(manager.id), 403), (.user(UserID(), admin: true), 200),
                (.service(.salesManager), 401),
            ] {
                #expect(try await service.call(.get, path, as: caller).status == status)
                let add = try await service.call(.post, path, as: caller, body: member)
                #expect(add.status == status)
                if status != 200 {
                    #expect(try await service.call(.delete, "\(path)/\(owner.id)", as: caller).status == status)
                }
            }
            let unknown = "/api/v1/organizers/\(OrganizerID())/members"
            #expect(try await service.call(.get, unknown, as: .user(owner.id)).status == 404)
            #expect(try await service.call(.get, unknown, as: .user(UserID(), admin: true)).status == 404)
            #expect(try await service.call(.get, "/api/v1/organizers/nonsense/members", as: .user(owner.id)).status == 404)
            // The member of one organizer is not removed through another.
            let other = "/api/v1/organizers/\(foreign)/members/\(manager.id)"
            #expect(try await service.call(.delete, other, as: .user(stranger.id)).status == 404)
            #expect(try await service.call(.get, path, as: .user(owner.id)).json(Page<Member>.self).items.count == 2)
        }
    }

    @Test func `a program acts for its user by a key, as far as its scopes go, until it is revoked or expires`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            let user = try await service.register("ada@example.org")
            let path = AuthenticationRoutes.apiKeys.path
            let answer = try await service.call(
                .post, path, as: .user(user.id), body: NewApiKey(name: "Till", scopes: [.write, .read, .read]))
            #expect(answer.status == 201 && answer.headers[.cacheControl] == "no-store")
            let made = try answer.json(MadeApiKey.self)
            #expect(made.key.hasPrefix("tfk_") && made.apiKey.scopes == [.read, .write] && made.apiKey.usedAt == nil)
            #expect(answer.headers[.location] == "\(path)/\(made.apiKey.id)")

            let issued = try await service.exchange(made.key).json(IssuedToken.self)
            #expect(issued.expiresAt <= .now + AccessClaims.keyTokenLifetime && issued.expiresAt > .now + .seconds(60))
            let identity = try await service.identity(issued.accessToken)
            #expect(identity.user?.id == user.id && identity.user?.key == Identity.Key(id: made.apiKey.id, scopes: [.read, .write]))
            let list = try await service.call(.get, path, as: .user(user.id))
            let listed = try list.json(Page<ApiKey>.self).items
            #expect(listed.map(\.id) == [made.apiKey.id] && listed.allSatisfy { $0.usedAt != nil } && !list.text.contains(made.key))

            // Nobody else sees it, or takes it away.
            let other = try await service.register("eve@example.org")
            #expect(try await service.call(.get, path, as: .user(other.id)).json(Page<ApiKey>.self).items.isEmpty)
            for (id, caller) in [("\(made.apiKey.id)", other.id), ("\(ApiKeyID())", user.id), ("nonsense", user.id)] {
                #expect(try await service.call(.delete, "\(path)/\(id)", as: .user(caller)).status == 404)
            }
            #expect(try await service.exchange(made.key).status == 200)
            #expect(try await service.call(.delete, "\(path)/\(made.apiKey.id)", as: .user(user.id)).status == 204)
            #expect(try await service.exchange(made.key).problem == "api-key-invalid")

            let soon = try await service.call(
                .post, path, as: .user(user.id), body: NewApiKey(name: "Soon", scopes: [.read], expiresAt: .now + .seconds(40)))
            let key = try soon.json(MadeApiKey.self).key
            #expect(try await service.exchange(key).json(IssuedToken.self).expiresAt <= .now + .seconds(40))
            try await service.database.write { tx in _ = try tx.execute("UPDATE api_key SET expires_at = \(tx.now)") }
            #expect(try await service.exchange(key).status == 401)
            for wrong in ["", "tfk_", made.key + "A", String(repeating: "x", count: 5_000)] {
                #expect(try await service.exchange(wrong).status == 401)
            }
        }
    }

    @Test func `a key has a name, scopes and an end to come, and one account has a hundred`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            let user = try await service.register("ada@example.org")
            let path = AuthenticationRoutes.apiKeys.path
            for wrong in [
                NewApiKey(name: " ", scopes: [.read]), NewApiKey(name: "Two\nlines", scopes: [.read]), NewApiKey(name: "Till", scopes: []),
                NewApiKey(name: "Till", scopes: [.read], expiresAt: .now - .seconds(1)),
            ] {
                #expect(try await service.call(.post, path, as: .user(user.id), body: wrong).status == 422)
            }
            let answers = try await service.all(of: 103) { _ in
                try await service.call(.post, path, as: .user(user.id), body: NewApiKey(name: "Till", scopes: [.read]))
            }
            #expect(Dictionary(grouping: answers, by: \.status).mapValues(\.count) == [201: 100, 409: 3])
            #expect(try await service.count("api_key") == 100)
        }
    }

    @Test func `the last owner stays`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            let (organizer, owner) = try await service.organizer()
            let path = "/api/v1/organizers/\(organizer)/members"
            let removed = try await service.call(.delete, "\(path)/\(owner.id)", as: .user(owner.id))
            #expect(removed.status == 409)
            #expect(removed.problem == "last-owner")
            let demoted = try await service.call(.post, path, as: .user(owner.id), body: NewMember(email: owner.email, role: .door))
            #expect(demoted.problem == "last-owner")
            let second = try await service.verified("second@example.org")
            _ = try await service.call(.post, path, as: .user(owner.id), body: NewMember(email: second.email, role: .owner))
            // Two owners who remove each other at once: one stays.
            let answers = try await service.all(of: 2) { number in
                try await service.call(
                    .delete, "\(path)/\(number == 0 ? second.id : owner.id)", as: .user(number == 0 ? owner.id : second.id))
            }
            #expect(answers.filter { $0.status == 204 }.count == 1)
            #expect(try await service.count("membership") == 1)
        }
    }

    @Test func `only accounts become members, with roles that there are`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            let (organizer, owner) = try await service.organizer()
            let path = "/api/v1/organizers/\(organizer)/members"
            let unknown = try await service.call(
                .post, path, as: .user(owner.id), body: NewMember(email: "nobody@example.org", role: .door))
            #expect(unknown.status == 422)
            // Anybody may have registered it; the answer is that for an unknown one.
            let claimed = try await service.register("claimed@example.org")
            let unverified = try await service.call(.post, path, as: .user(owner.id), body: NewMember(email: claimed.email, role: .manager))
            #expect(unverified.status == 422 && unverified.text.contains("verified") && !unverified.text.contains("\(claimed.id)"))
            #expect(try await service.count("membership") == 1)
            for json in [#"{"email":"owner@example.org","role":"king"}"#, #"{"email":"owner@example.org"}"#, #"{"email":1,"role":"door"}"#]
            {
                #expect(try await service.call(.post, path, as: .user(owner.id), json: json).status == 422)
            }
            for query in ["limit=0", "limit=201", "limit=x", "after=x", "limit=99999999999999999999"] {
                #expect(try await service.call(.get, "\(path)?\(query)", as: .user(owner.id)).status == 422)
            }
        }
    }

    // MARK: Services

    @Test func `services ask for roles and memberships`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            let (organizer, owner) = try await service.organizer()
            let role = try await service.call(
                .get, "/internal/v1/organizers/\(organizer)/members/\(owner.id)", as: .service(.couponManager))
            #expect(try role.json(Membership.self) == Membership(organizerId: organizer, role: .owner))
            let stranger = try await service.call(
                .get, "/internal/v1/organizers/\(organizer)/members/\(UserID())", as: .service(.couponManager))
            #expect(stranger.status == 404)
            let list = try await service.call(.get, "/internal/v1/users/\(owner.id)/memberships", as: .service(.couponManager))
            #expect(try list.json(MembershipList.self).items == [Membership(organizerId: organizer, role: .owner)])
        }
    }

    @Test func `what is inside is for services with the scope`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            let (organizer, owner) = try await service.organizer()
            let requests: [(TestCaller) async throws -> Harness.Answer] = [
                { try await service.call(.get, "/internal/v1/organizers/\(organizer)/members/\(owner.id)", as: $0) },
                { try await service.call(.get, "/internal/v1/users/\(owner.id)/memberships", as: $0) },
                {
                    try await service.call(
                        .put, "/internal/v1/organizers/\(OrganizerID())/owner", as: $0, body: NewOwner(userId: owner.id))
                },
            ]
            for request in requests {
                #expect(try await request(.nobody).status == 401)
                #expect(try await request(.user(owner.id, admin: true)).status == 403)
                #expect(try await request(.service(.authentication)).status == 403)
                #expect(try await request(.service(.eventManager)).status < 300)
            }
        }
    }

    @Test func `an organizer gets its first owner once, and no second one by a repetition`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            let (organizer, owner) = try await service.organizer()
            let other = try await service.register("other@example.org")
            let path = "/internal/v1/organizers/\(organizer)/owner"
            #expect(try await service.call(.put, path, as: .service(.eventManager), body: NewOwner(userId: owner.id)).status == 204)
            let second = try await service.call(.put, path, as: .service(.eventManager), body: NewOwner(userId: other.id))
            #expect(second.problem == "has-owner")
            let unknown = try await service.call(
                .put, "/internal/v1/organizers/\(OrganizerID())/owner", as: .service(.eventManager), body: NewOwner(userId: UserID()))
            #expect(unknown.status == 404)
            #expect(try await service.count("membership") == 1)
        }
    }

    @Test func `a service gets its own token and scopes for its secret`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            let secret = try String(contentsOfFile: "\(service.folder)/secrets/service-sales-manager", encoding: .utf8)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            #expect(Data(base64Encoded: secret)?.count == 32)
            let answer = try await service.serviceToken("sales-manager", secret)
            #expect(answer.status == 200)
            let token = try answer.json(IssuedToken.self)
            #expect(token.expiresAt > .now + .minutes(14) && token.expiresAt < .now + .minutes(16))
            let expected = Identity.service(.salesManager, scopes: Set(Scope.granted[.salesManager] ?? []))
            #expect(try await service.identity(token.accessToken) == expected)

            for (name, secret) in [
                ("event-manager", secret), ("sales-manager", ""), ("sales-manager", "not base64 👩‍💻"), ("nobody", secret),
                ("sales-manager", String(secret.reversed())), ("../secrets/service-sales-manager", secret),
            ] {
                #expect(try await service.serviceToken(name, secret).status == 401)
            }
        }
    }

    // MARK: Keys

    @Test func `the signing key outlives a restart, and a replaced one is listed until its tokens have ended`() async throws {
        let folder = NSTemporaryDirectory() + "ticketflow-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let (old, token) = try await withService(AuthenticationService.self, settings: Self.cheap, folder: folder) { service in
            _ = try await service.register("ada@example.org")
            return (try await service.keys(), try await service.login("ada@example.org").json(Session.self).accessToken)
        }
        #expect(old.count == 1)
        try await withService(AuthenticationService.self, settings: Self.cheap, folder: folder) { service in
            let keys = try await service.keys()
            #expect(keys == old)
            #expect(try await service.identity(token).user != nil)
        }
        try FileManager.default.removeItem(atPath: "\(folder)/secrets/jwt-signing-key")
        try await withService(AuthenticationService.self, settings: Self.cheap, folder: folder) { service in
            let keys = try await service.keys()
            #expect(keys.count == 2 && keys[1...] == old[...])
            #expect(try await service.identity(token).user != nil)
            let session = try await service.login("ada@example.org").json(Session.self)
            #expect(try await service.identity(session.accessToken).user != nil)
            // Long after the last instance with the old key was seen.
            try await service.database.write { tx in
                _ = try tx.execute("UPDATE signing_key SET valid_until = 0 WHERE kid = \(old[0])")
            }
            try await service.run("signing-keys")
            #expect(try await service.keys() == [keys[0]])
            await #expect(throws: Problem.self) { try await service.identity(token) }
        }
    }

    @Test func `the secrets are for the owner of the files alone`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            for name in ["jwt-signing-key", "service-sales-manager"] {
                let attributes = try FileManager.default.attributesOfItem(atPath: "\(service.folder)/secrets/\(name)")
                #expect(attributes[.posixPermissions] as? Int == 0o600)
            }
        }
    }

    // MARK: Administrators

    @Test func `the first administrator is made once, with a password that signs in`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            let administrators = Administrators(database: service.database, hasher: PasswordHasher(cost: .init(memoryKiB: 8, passes: 1)))
            let made = try #require(try await administrators.ensureAdministrator(email: "Admin@localhost"))
            #expect(made.email == "admin@localhost")
            #expect(made.password.count == 19)
            #expect(try await administrators.ensureAdministrator(email: "other@localhost") == nil)
            let session = try await service.login(made.email, made.password).json(Session.self)
            #expect(session.user.isAdmin)
            #expect(try await service.identity(session.accessToken).user?.isAdmin == true)
        }
    }

    @Test func `an account that somebody registered does not become administrator`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            _ = try await service.register("admin@example.org")
            let administrators = Administrators(database: service.database, hasher: PasswordHasher(cost: .init(memoryKiB: 8, passes: 1)))
            await #expect(throws: Problem.self) { try await administrators.ensureAdministrator(email: "admin@example.org") }
            #expect(try await !service.login("admin@example.org").json(Session.self).user.isAdmin)
        }
    }

    @Test func `the command line makes users under the same rules`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            let administrators = Administrators(database: service.database, hasher: PasswordHasher(cost: .init(memoryKiB: 8, passes: 1)))
            try await administrators.createUser(email: "Ada@example.org", password: Harness.password, name: "Ada", isAdmin: false)
            #expect(try await service.login("ada@example.org").json(Session.self).user.isEmailVerified)
            await #expect(throws: Problem.self) {
                try await administrators.createUser(email: "ada@example.org", password: Harness.password, name: "Ada", isAdmin: true)
            }
            await #expect(throws: Problem.self) {
                try await administrators.createUser(email: "eve@example.org", password: "short", name: "Eve", isAdmin: true)
            }
        }
    }

    @Test func `every route has an answer`() async throws {
        try await withService(AuthenticationService.self, settings: Self.cheap) { service in
            let answered = Set(service.service.endpoints.map { "\($0.route.method) \($0.route.path)" })
            #expect(answered == Set(AuthenticationRoutes.all.map { "\($0.method) \($0.path)" }))
        }
    }
}

private struct KeyDocument: Decodable {
    struct Key: Decodable { let kid: String }
    let keys: [Key]
}

extension ServiceHarness<AuthenticationService> {
    static var password: String { "correct horse" }

    func register(_ email: String) async throws -> User {
        let answer = try await call(
            .post, "/api/v1/auth/register", body: Registration(email: email, password: Self.password, name: "Somebody"))
        return try answer.json(RegistrationAnswer.self).user
    }

    /// An account whose owner has followed the link in the mail.
    func verified(_ email: String) async throws -> User {
        let user = try await register(email)
        let token = try await sent(UserRegistered.self).first { $0.userId == user.id }?.verificationToken
        #expect(try await call(.post, "/api/v1/auth/verify-email", body: VerifyEmailRequest(token: token ?? "")).status == 204)
        return user
    }

    func login(_ email: String, _ password: String = "correct horse") async throws -> Answer {
        try await call(.post, "/api/v1/auth/login", body: Credentials(email: email, password: password))
    }

    func refresh(_ token: String) async throws -> Answer {
        try await call(.post, "/api/v1/auth/refresh", body: RefreshRequest(refreshToken: token))
    }

    func exchange(_ key: String) async throws -> Answer {
        try await call(.post, AuthenticationRoutes.keyToken.path, body: KeyExchange(key: key))
    }

    func serviceToken(_ name: String, _ secret: String) async throws -> Answer {
        try await call(.post, "/internal/v1/auth/service-token", body: ServiceCredentials(service: name, secret: secret))
    }

    /// An organizer with an owner who has an account.
    func organizer(owner: String = "owner@example.org") async throws -> (OrganizerID, User) {
        let (organizer, user) = (OrganizerID(), try await register(owner))
        let answer = try await call(
            .put, "/internal/v1/organizers/\(organizer)/owner", as: .service(.eventManager), body: NewOwner(userId: user.id))
        #expect(answer.status == 204)
        return (organizer, user)
    }

    /// Who a token makes its bearer, for whoever has the key document and nothing else.
    func identity(_ token: String) async throws -> Identity {
        let document = try await call(.get, "/.well-known/jwks.json").text
        return try await IdentityVerifier { document }.identity("Bearer \(token)")
    }

    /// The ids of the listed keys.
    func keys() async throws -> [String] {
        try await call(.get, "/.well-known/jwks.json").json(KeyDocument.self).keys.map(\.kid)
    }

    func endLoginWindows() async throws {
        try await database.write { tx in _ = try tx.execute("UPDATE login_failure SET expires_at = \(tx.now)") }
    }

    func count(_ table: String) async throws -> Int {
        try await database.read { tx in
            try tx.row("SELECT COUNT(*) AS n FROM \(SQL(stringLiteral: table))")?["n"] ?? 0
        }
    }

    func text(_ sql: SQL) async throws -> String {
        try await database.read { tx in try tx.row(sql)?["text"] ?? "" }
    }

    func all(of count: Int, _ request: @escaping @Sendable (Int) async throws -> Answer) async throws -> [Answer] {
        try await withThrowingTaskGroup(of: Answer.self) { group in
            for number in 0..<count { group.addTask { try await request(number) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    /// How often each status was answered to requests that were sent at once.
    func statuses(of count: Int, _ request: @escaping @Sendable (Int) async throws -> Answer) async throws -> [Int: Int] {
        try await all(of: count, request).reduce(into: [:]) { $0[$1.status, default: 0] += 1 }
    }
}

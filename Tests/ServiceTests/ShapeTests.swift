import Discovery
import FoundationEssentials
import HTTPTypes
import JWTKit
import Messaging
import ServiceKit
import Storage
import Testing
import Values

/// The smallest service there can be: it counts.
private struct CounterService: Microservice {
    static let name = ServiceName("counter")
    static let migrations = [Migration("0001-counter", "CREATE TABLE counter (value BIGINT NOT NULL);")]

    struct Addition: Codable {
        var amount: Int64
        var notes: [Note]?

        struct Note: Codable { var at: Instant }
    }

    private let database: Database

    init(_ environment: ServiceEnvironment) throws {
        database = environment.database
    }

    var endpoints: [Endpoint] {
        [
            Endpoint(Route(.post, "/additions", .user)) { call in
                let body = try call.body(Addition.self)
                let key = try call.idempotencyKey()
                return try await database.write { tx in
                    try Idempotency.once(key, in: tx) {
                        guard body.amount > 0 else { throw Problem.conflict("nothing", "Nothing to add", "Add something.") }
                        try tx.execute("INSERT INTO counter (value) VALUES (\(body.amount))")
                        return try .created(["sum": try sum(in: tx)], at: "/additions/1")
                    }
                }
            },
            Endpoint(Route(.post, "/other-additions", .user)) { call in
                let key = try call.idempotencyKey()
                return try await database.write { tx in try Idempotency.once(key, in: tx) { .noContent } }
            },
            Endpoint(Route(.get, "/sum", .anyone)) { call in
                try .ok(["sum": try await database.read { tx in try sum(in: tx) }])
            },
            Endpoint(Route(.get, "/broken", .anyone)) { _ in throw StorageError.engine(code: "1", message: "near SELECT secret") },
            Endpoint(Route(.get, "/inside", .service(scope: "count"))) { _ in .noContent },
        ]
    }

    private func sum(in tx: Transaction) throws -> Int64 {
        try tx.row("SELECT COALESCE(CAST(SUM(value) AS BIGINT), 0) AS sum FROM counter")!["sum"]
    }

    var consumers: [Consumer] { [] }
    var jobs: [Job] { [] }
}

@Suite struct ShapeTests {
    private let ada = TestCaller.user(UserID())

    @Test func `a key that comes again gets the first answer, with another body or route 422, and is another caller's own`() async throws {
        try await withService(CounterService.self) { harness in
            func add(_ body: String, _ key: String, as caller: TestCaller, to path: String = "/additions") async throws
                -> ServiceHarness<CounterService>.Answer
            {
                try await harness.call(.post, path, as: caller, headers: ["Idempotency-Key": key], json: body)
            }
            let first = try await add(#"{"amount":2}"#, "k", as: ada)
            let again = try await add(#"{"amount":2}"#, "k", as: ada)
            #expect(first.status == 201)
            #expect(again.body == first.body)
            #expect(again.headers[.location] == "/additions/1")
            #expect(try await add(#"{"amount":3}"#, "k", as: ada).problem == "idempotency-key-reused")
            #expect(try await add(#"{"amount":2}"#, "k", as: ada, to: "/other-additions").problem == "idempotency-key-reused")
            #expect(try await add(#"{"amount":5}"#, "k", as: .user(UserID())).text == #"{"sum":7}"#)
            #expect(try await add(#"{"amount":0}"#, "refused", as: ada).status == 409)
            #expect(try await add(#"{"amount":1}"#, "refused", as: ada).status == 201, "a refusal is not remembered")
            #expect(try await harness.call(.post, "/additions", as: ada, json: #"{"amount":1}"#).problem == "idempotency-key-required")
            #expect(try await harness.call(.get, "/sum").text == #"{"sum":8}"#)
        }
    }

    @Test func `fifty equal requests at once have one effect`() async throws {
        try await withService(CounterService.self) { harness in
            let ada = ada
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<50 {
                    group.addTask { @Sendable in
                        try await harness.call(
                            .post, "/additions", as: ada, headers: ["Idempotency-Key": "once"], json: #"{"amount":1}"#
                        ).status
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.allSatisfy { $0 == 201 || $0 == 409 })
            #expect(statuses.contains(201))
            #expect(try await harness.call(.get, "/sum").text == #"{"sum":1}"#)
        }
    }

    @Test(arguments: [
        ("", 400, ""), ("{", 400, ""), (#"{"amount":1,}"#, 400, ""), (#"{"amount":1,"x":"\ud800"}"#, 400, ""), ("[]", 422, "body"),
        (#"{"amount":"x"}"#, 422, "amount"), ("{}", 422, "amount"),
        (#"{"amount":1.5}"#, 422, "amount"), (#"{"amount":99999999999999999999}"#, 422, "amount"), (#"{"amount":null}"#, 422, "amount"),
        (#"{"amount":1,"notes":[{"at":"2027-02-30T00:00:00Z"}]}"#, 422, "notes[0].at"), (#"{"amount":1,"x":"\u0000"}"#, 400, ""),
    ])
    func `a body that is not what it should be is told what is wrong with it`(body: String, status: Int, field: String) async throws {
        try await withService(CounterService.self) { harness in
            let answer = try await harness.call(.post, "/additions", as: ada, headers: ["Idempotency-Key": "k"], json: body)
            #expect(answer.status == status, "\(answer.text)")
            #expect(answer.headers[.contentType] == "application/problem+json")
            let problem = try answer.json(Problem.self)
            #expect(problem.errors.map(\.field) == (field.isEmpty ? [] : [field]))
            #expect(problem.detail?.isEmpty == false)
        }
    }

    @Test func `an inner error shows nothing of itself`() async throws {
        try await withService(CounterService.self) { harness in
            let answer = try await harness.call(.get, "/broken")
            #expect(answer.status == 500)
            #expect(!answer.text.contains("SELECT"))
            #expect(answer.text.contains(try #require(answer.headers[.requestID])))
        }
    }

    @Test func `paths, methods and HEAD are answered as HTTP says`() async throws {
        try await withService(CounterService.self) { harness in
            #expect(try await harness.call(.get, "/nothing").status == 404)
            let wrong = try await harness.call(.delete, "/sum")
            #expect(wrong.status == 405)
            #expect(wrong.headers[.allow] == "GET")
            let head = try await harness.call(.head, "/sum")
            #expect(head.status == 200)
            #expect(head.body.isEmpty)
            #expect(head.headers[.contentLength] == "9")
            #expect(try await harness.call(.get, "/sum?a=%zz").status == 400)
        }
    }

    @Test func `who is nobody, a user, or a service without the scope does not get inside`() async throws {
        try await withService(CounterService.self) { harness in
            func status(_ caller: TestCaller) async throws -> Int { try await harness.call(.get, "/inside", as: caller).status }
            let answers = try await [status(.nobody), status(ada), status(.service(ServiceName("stranger")))]
            #expect(answers == [401, 403, 403])
            #expect(try await harness.call(.post, "/additions", as: .service(ServiceName("stranger")), json: "{}").status == 401)
        }
    }

    @Test func `tokens that are forged, foreign or over are refused`() async throws {
        try await withService(CounterService.self) { harness in
            func claims(_ change: (inout AccessClaims) -> Void = { _ in }) -> AccessClaims {
                var claims = AccessClaims(
                    subject: "\(UserID())", expires: Date(timeIntervalSinceNow: 60), email: "a@b.example",
                    id: "\(UInt64.random(in: 0 ... .max))")
                change(&claims)
                return claims
            }
            func isAccepted(_ token: String) async throws -> Bool {
                let status = try await harness.call(
                    .post, "/other-additions", headers: ["Authorization": "Bearer \(token)", "Idempotency-Key": "k"]
                ).status
                #expect(status == 401 || status == 204)
                return status == 204
            }
            let genuine = try #require(try await harness.tokens.token(ada))
            #expect(try await isAccepted(genuine))
            let stranger = JWTKeyCollection()
            await stranger.add(ecdsa: ES256PrivateKey(), kid: "test")
            #expect(try await !isAccepted(stranger.sign(claims(), kid: "test")))
            let secret = JWTKeyCollection()
            await secret.add(hmac: .init(from: harness.tokens.jwks), digestAlgorithm: .sha256, kid: "test")
            #expect(try await !isAccepted(secret.sign(claims(), kid: "test")))
            let parts = genuine.split(separator: ".")
            let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIiwia2lkIjoidGVzdCJ9"
            #expect(try await !isAccepted("\(none).\(parts[1])."))
            #expect(try await !isAccepted("\(none).\(parts[1]).\(parts[2])"))
            #expect(try await !isAccepted("\(parts[0]).\(parts[1])."))
            for wrong in [
                claims { $0.exp = .init(value: Date(timeIntervalSinceNow: -60)) }, claims { $0.aud = .init(value: "another") },
                claims { $0.iss = .init(value: "another") }, claims { $0.sub = .init(value: "root") },
            ] {
                #expect(try await !isAccepted(harness.tokens.sign(wrong)))
            }
        }
    }
}

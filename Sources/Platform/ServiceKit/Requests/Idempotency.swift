import Crypto
import Discovery
import FoundationEssentials
package import HTTPTypes
package import Storage
import Synchronization
package import Values

/// What makes a repeated request the same request: who asks, the key they chose, and what they asked for.
package struct IdempotencyKey: Hashable, Sendable {
    let principal: String
    let key: String
    /// Hash of route and body.
    let fingerprint: String

    package init(principal: String, key: String, fingerprint: String) {
        self.principal = principal
        self.key = key
        self.fingerprint = fingerprint
    }
}

/// Remembers answers under their keys. The row is written in the transaction of the effect, so there is no mark "in progress"
/// that a crash could leave behind.
package enum Idempotency {
    package static let retention = TimeSpan.hours(48)
    /// How many old keys are looked for at once, and forgotten in one transaction.
    private static let part = 256

    package static let migration = Migration(
        "0000-idempotency",
        """
        CREATE TABLE idempotency (
            principal TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, status BIGINT NOT NULL,
            location TEXT, body TEXT NOT NULL, created_at BIGINT NOT NULL, PRIMARY KEY (principal, key)
        ) CLUSTERED;
        """)

    /// The first answer if there was one; else what `effect` answers, remembered from now on.
    /// A thrown error rolls back with all else and so is not remembered.
    package static func once(
        _ key: IdempotencyKey?, in tx: Transaction, _ effect: () throws -> Reply
    ) throws -> Reply {
        guard let key else { return try effect() }
        if let answer = try answer(to: key, in: tx) { return answer }
        let reply = try effect()
        try remember(reply, for: key, in: tx)
        return reply
    }

    package static func answer(to key: IdempotencyKey, in tx: Transaction) throws -> Reply? {
        guard
            let row = try tx.row(
                """
                SELECT fingerprint, status, location, body FROM idempotency
                WHERE principal = \(key.principal) AND key = \(key.key)
                """)
        else { return nil }
        guard try row["fingerprint"] == key.fingerprint else { throw Problem.idempotencyKeyReused }
        return try reply(row)
    }

    private static func reply(_ row: Row) throws -> Reply {
        var reply = Reply(status: .init(code: try row["status"]), body: Array((try row["body"] as String).utf8))
        if !reply.body.isEmpty { reply.headers[.contentType] = "application/json" }
        reply.headers[.location] = try row["location"]
        return reply
    }

    /// Where another instance has had the key in the meantime, the commit fails: see `isTaken`.
    package static func remember(_ reply: Reply, for key: IdempotencyKey, in tx: Transaction) throws {
        try tx.queue(
            """
            INSERT INTO idempotency (principal, key, fingerprint, status, location, body, created_at)
            VALUES (\(key.principal), \(key.key), \(key.fingerprint), \(reply.status.code), \(reply.headers[.location]),
                \(String(decoding: reply.body, as: UTF8.self)), \(tx.now))
            """)
    }

    /// Whether a transaction has failed because another instance had one of its keys in the meantime.
    package static func isTaken(_ error: StorageError) -> Bool {
        guard case .constraint(.unique, let detail) = error else { return false }
        return detail.contains("idempotency")
    }

    /// Old keys are looked for beside the writers, and forgotten in small parts: an index for it would be written by every request.
    package static func forgetOld(in database: Database) async throws {
        let before = Instant.now - retention
        var last = (principal: "", key: "")
        while true {
            let old = try await database.read { [last] tx in
                try tx.rows(
                    """
                    SELECT principal, key FROM idempotency WHERE (principal, key) > (\(last.principal), \(last.key)) AND created_at < \(before)
                    ORDER BY principal, key LIMIT \(part)
                    """
                ).map { row in (principal: try row["principal"] as String, key: try row["key"] as String) }
            }
            guard let end = old.last else { return }
            last = end
            let byPrincipal = Dictionary(grouping: old, by: \.principal).mapValues { $0.map(\.key) }
            try await database.write { tx in
                for (principal, keys) in byPrincipal {
                    try tx.inChunks(keys) { keys in
                        try tx.queue("DELETE FROM idempotency WHERE principal = \(principal) AND key IN \(list: keys)")
                    }
                }
            }
        }
    }
}

extension Problem {
    static let idempotencyKeyReused = Problem(
        422, "idempotency-key-reused", "This Idempotency-Key was used for another request",
        detail: "Take a new key for each new request; repeat a key only with the same route and body.")
    static let requestInProgress = Problem(
        409, "request-in-progress", "The first request with this Idempotency-Key is still running",
        detail: "Repeat it in a moment to get its answer.", retryAfter: 1)
}

extension Call {
    /// Who a key belongs to: a user, a service, or whoever holds the secret of a cart or an order. The id before the secret's hash, so
    /// that the keys of new carts stand beside each other in the table.
    package var principal: String? {
        switch identity {
        case .user(let user): "\(user.id)"
        case .service(let name, _): "service:\(name)"
        case .anonymous:
            (headers[.cartToken] ?? headers[.orderToken]).map { "link:\(parameters["id"] ?? ""):\(Call.hash($0))" }
        }
    }

    /// The key that this operation demands; 400 if it is missing.
    package func idempotencyKey() throws -> IdempotencyKey {
        guard let key = headers.value(of: .idempotencyKey), !key.isEmpty, key.utf8.count <= 200 else {
            throw Problem(
                400, "idempotency-key-required", "An Idempotency-Key is required",
                detail: "Send a field Idempotency-Key with a value of your choice, 1 to 200 characters, new for each new request.")
        }
        return IdempotencyKey(
            principal: principal ?? "nobody", key: key,
            fingerprint: Call.hash("\(route.method) \(path)\n", bytes))
    }

    /// Of a text, and what stands behind it.
    fileprivate static func hash(_ text: String, _ rest: [UInt8] = []) -> String {
        var hash = SHA256()
        var text = text
        text.withUTF8 { unsafe hash.update(bufferPointer: UnsafeRawBufferPointer($0)) }
        hash.update(data: rest)
        return hash.finalize().withUnsafeBytes { unsafe Data($0).base64EncodedString() }
    }
}

extension HTTPField.Name {
    package static let cartToken = HTTPField.Name("X-Cart-Token")!
    package static let orderToken = HTTPField.Name("X-Order-Token")!
}

/// Requests with a key that this instance is working on. A second one waits a moment for the first and then is refused.
final class RequestsInFlight: Sendable {
    private let keys = Mutex<Set<IdempotencyKey.Identity>>([])

    func enter(_ key: IdempotencyKey.Identity) async throws {
        for attempt in 0..<20 {
            if keys.withLock({ $0.insert(key).inserted }) { return }
            if attempt < 19 { try await Task.sleep(for: .milliseconds(15)) }
        }
        throw Problem.requestInProgress
    }

    func leave(_ key: IdempotencyKey.Identity) {
        _ = keys.withLock { $0.remove(key) }
    }
}

extension IdempotencyKey {
    /// Principal and key, without what was asked for.
    package struct Identity: Hashable, Sendable {
        let principal: String
        let key: String
    }

    package var identity: Identity { Identity(principal: principal, key: key) }

    /// To derive the keys of further calls from.
    package var text: String { Call.hash("\(principal)\n\(key)") }
}

/// Many keys at once, for requests that are decided together. What they make can be read again, so that its id is remembered and not
/// the answer: a repeated request is told what became of it.
extension Idempotency {
    /// What was made under a key.
    package struct Made: Sendable {
        private let id: String
        private let fingerprint: String

        package init(_ id: String, under key: IdempotencyKey) {
            self.init(id: id, fingerprint: key.fingerprint)
        }

        fileprivate init(id: String, fingerprint: String) {
            self.id = id
            self.fingerprint = fingerprint
        }

        /// Throws `Problem` 422 where the key came with another request.
        package func id(for key: IdempotencyKey) throws -> String {
            guard fingerprint == key.fingerprint, !id.isEmpty else { throw Problem.idempotencyKeyReused }
            return id
        }
    }

    package static func made(under keys: [IdempotencyKey], in tx: Transaction) throws -> Answer<[IdempotencyKey.Identity: Made]> {
        // Not a list of keys: before PostgreSQL has counted the rows, it reads all of a principal's to look for those.
        let rows = try tx.ask(
            "SELECT principal, key, fingerprint, location FROM idempotency WHERE principal = ? AND key = ?", ofEach: keys
        ) { rows, key in rows.append(key.principal, key.key) }
        return Answer {
            var known: [IdempotencyKey.Identity: Made] = [:]
            for row in try rows.get() {
                known[.init(principal: try row["principal"], key: try row["key"])] = Made(
                    id: try row["location"] ?? "", fingerprint: try row["fingerprint"])
            }
            return known
        }
    }

    /// Where another instance has had one of the keys in the meantime, the commit fails: the requests are then decided each by itself,
    /// and those with other keys find nothing in their way.
    package static func remember(_ made: [(id: String, key: IdempotencyKey)], in tx: Transaction) throws {
        let now = try tx.now
        try tx.insert(
            "INSERT INTO idempotency (principal, key, fingerprint, status, location, body, created_at) VALUES", made
        ) { rows, made in
            rows.append(made.key.principal, made.key.key, made.key.fingerprint, 201, made.id, "", now)
        }
    }
}

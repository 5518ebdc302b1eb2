import Discovery
import Foundation
import JWTKit
import ServiceKit
import Synchronization
import Testing
import Values

/// Whose a token is, and whose it is not.
@Suite struct IdentityVerifierTests {
    private static let user = UserID()

    private static func claims(expires: Date = .now + 60, key: ApiKeyID? = nil) -> AccessClaims {
        AccessClaims(
            subject: "\(user)", expires: expires, email: "ada@example.org", scope: key == nil ? nil : ["read", "everything"], key: key,
            id: "1")
    }

    @Test func `a token is good between its times, from here and for here, and otherwise nobody's`() async throws {
        let tokens = try await TestTokens()
        let verifier = IdentityVerifier { tokens.jwks }
        func identity(_ change: (inout AccessClaims) -> Void) async throws -> Identity {
            var claims = IdentityVerifierTests.claims()
            change(&claims)
            return try await verifier.identity("Bearer \(try await tokens.sign(claims))")
        }
        #expect(try await identity { _ in }.user?.id == IdentityVerifierTests.user)
        #expect(try await identity { $0.nbf = .init(value: .now - 1) }.user != nil)
        #expect(try await identity { $0.aud = .init(value: ["other", AccessClaims.audience]) }.user != nil)
        let wrong: [(String, (inout AccessClaims) -> Void)] = [
            ("expired", { $0.exp = .init(value: .now - 1) }), ("not yet", { $0.nbf = .init(value: .now + 60) }),
            ("another issuer", { $0.iss = "elsewhere" }), ("another audience", { $0.aud = "elsewhere" }),
            ("nobody", { $0.sub = "" }), ("no user", { $0.sub = "admin" }),
            ("without an address", { $0.email = nil }),
        ]
        for (what, change) in wrong {
            await #expect("\(what)") { try await identity(change) } throws: { ($0 as? Problem)?.status == 401 }
        }
    }

    @Test func `what was found out is believed until the token expires, and under its own scheme`() async throws {
        let tokens = try await TestTokens()
        let verifier = IdentityVerifier { tokens.jwks }
        let token = try await tokens.sign(IdentityVerifierTests.claims(expires: .now + 10))
        #expect(verifier.remembered("Bearer \(token)") == nil)
        #expect(try await verifier.identity("Bearer \(token)").user != nil)
        #expect(verifier.remembered("Bearer \(token)")?.user?.id == IdentityVerifierTests.user)
        #expect(try await verifier.identity("bearer \(token)").user?.id == IdentityVerifierTests.user)
        for scheme in ["Digest", "BEARE ", "Basic "] { #expect(verifier.remembered("\(scheme) \(token)") == nil) }
        try await eventually("it has expired") { verifier.remembered("Bearer \(token)") == nil }
    }

    @Test func `an unknown key is looked for once in a while, and known ones stay good while nobody answers`() async throws {
        let (tokens, others) = (try await TestTokens(), try await TestTokens())
        let fetches = Mutex(0)
        let verifier = IdentityVerifier {
            let count = fetches.withLock { count in
                count += 1
                return count
            }
            if count > 1 { throw Problem.unavailable("Nobody answers.") }
            return tokens.jwks
        }
        #expect(try await verifier.identity("Bearer \(try await tokens.sign(IdentityVerifierTests.claims()))").user != nil)
        for _ in 0..<20 {
            let token = try await others.sign(IdentityVerifierTests.claims())
            await #expect { try await verifier.identity("Bearer \(token)") } throws: { ($0 as? Problem)?.status == 401 }
        }
        #expect(fetches.withLock { $0 } == 1)
        #expect(
            try await verifier.identity("Bearer \(try await tokens.sign(IdentityVerifierTests.claims(expires: .now + 99)))").user != nil)
    }

    @Test func `those who come first with a new key wait for the same answer`() async throws {
        let (old, new) = (try await TestTokens(), try await TestTokens())
        let fetches = Mutex(0)
        let isReplaced = Mutex(false)
        let verifier = IdentityVerifier(coolDown: .zero) {
            fetches.withLock { $0 += 1 }
            try await Task.sleep(for: .milliseconds(100))
            return isReplaced.withLock { $0 } ? new.jwks : old.jwks
        }
        #expect(try await verifier.identity("Bearer \(try await old.sign(IdentityVerifierTests.claims()))").user != nil)
        isReplaced.withLock { $0 = true }
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<20 {
                let token = try await new.sign(IdentityVerifierTests.claims())
                group.addTask { try await verifier.identity("Bearer \(token)").user != nil }
            }
            for try await isKnown in group { #expect(isKnown) }
        }
        #expect(fetches.withLock { $0 } == 2)
    }

    @Test func `an API key is exchanged once in a while, well before its token ends, and nowhere but at the door`() async throws {
        let (tokens, key) = (try await TestTokens(), ApiKeyID())
        let good = "tfk_" + String(repeating: "a", count: 43)
        let exchanges = Mutex<[String]>([])
        let verifier = IdentityVerifier(
            exchange: { said in
                exchanges.withLock { $0.append(said) }
                guard said == good else { throw Problem(401, "api-key-invalid", "No") }
                return try await tokens.sign(IdentityVerifierTests.claims(expires: .now + 70, key: key))
            }
        ) { tokens.jwks }
        for _ in 0..<3 {
            let user = try #require(try await verifier.identity("Bearer \(good)").user)
            #expect(user.key == Identity.Key(id: key, scopes: [.read]) && user.token.hasPrefix("ey"))
        }
        #expect(exchanges.withLock { $0 } == [good])
        try await eventually("it is exchanged again, long before the token ends") {
            let identity = try await verifier.identity("Bearer \(good)")
            #expect(identity.user != nil)
            return exchanges.withLock { $0.count } == 2
        }
        await #expect { try await verifier.identity("Bearer \(good.dropLast())b") } throws: { ($0 as? Problem)?.code == "api-key-invalid" }
        // What cannot be a key is nobody's, and Authentication is not asked.
        await #expect { try await verifier.identity("Bearer tfk_") } throws: { ($0 as? Problem)?.code == "unauthenticated" }
        #expect(exchanges.withLock { $0.count } == 3)
        let inside = IdentityVerifier { tokens.jwks }
        await #expect { try await inside.identity("Bearer \(good)") } throws: { ($0 as? Problem)?.status == 401 }
    }

    @Test func `requests that come by one key at the same time share an exchange, and its failure is not kept`() async throws {
        let tokens = try await TestTokens()
        let exchanges = Mutex(0)
        let verifier = IdentityVerifier(
            exchange: { _ in
                let count = exchanges.withLock { count in
                    count += 1
                    return count
                }
                // As slow as all of them need to come.
                try await Task.sleep(for: .seconds(3))
                if count == 1 { throw Problem.unavailable("Nobody answers.") }
                return try await tokens.sign(IdentityVerifierTests.claims(expires: .now + 90, key: ApiKeyID()))
            }
        ) { tokens.jwks }
        let said = "Bearer tfk_" + String(repeating: "a", count: 43)
        for isWell in [false, true] {
            let answered = await withTaskGroup { group in
                for _ in 0..<20 { group.addTask { (try? await verifier.identity(said).user) != nil } }
                return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(answered == (isWell ? 20 : 0))
        }
        #expect(exchanges.withLock { $0 } == 2)
    }
}

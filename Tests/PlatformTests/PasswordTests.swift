import Passwords
import Testing

@Suite struct PasswordTests {
    /// As cheap as argon2 goes, where the strength is not what is tested.
    private static let cheap = PasswordHasher.Cost(memoryKiB: 8, passes: 1, lanes: 1)

    @Test func `a hash has OWASP's strength unless told otherwise, and its password verifies`() async throws {
        let hasher = PasswordHasher()
        let hash = try await hasher.hash("correct horse")
        #expect(hash.hasPrefix("$argon2id$v=19$m=19456,t=2,p=1$"))
        #expect(await hasher.verify("correct horse", against: hash))
        #expect(await !hasher.verify("correct horsf", against: hash))
        #expect(await !hasher.verify("", against: hash))
        #expect(!hasher.needsRehash(hash))
    }

    /// From the test vectors of the reference implementation (phc-winner-argon2, test.c).
    @Test func `a hash made by another program verifies`() async {
        let hash = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
        let hasher = PasswordHasher()
        #expect(await hasher.verify("password", against: hash))
        #expect(await !hasher.verify("Password", against: hash))
        #expect(hasher.needsRehash(hash))
    }

    @Test func `the same password never has the same hash twice`() async throws {
        let hasher = PasswordHasher(cost: PasswordTests.cheap)
        let hashes = try await [hasher.hash("same"), hasher.hash("same"), hasher.hash("same")]
        #expect(Set(hashes).count == 3)
        for hash in hashes { #expect(await hasher.verify("same", against: hash)) }
    }

    @Test func `a hash outlives a change of cost, and asks to be renewed`() async throws {
        let old = PasswordHasher(cost: PasswordTests.cheap)
        let new = PasswordHasher(cost: .init(memoryKiB: 64, passes: 2, lanes: 2))
        let hash = try await old.hash("secret")
        #expect(await new.verify("secret", against: hash))
        #expect(new.needsRehash(hash))
        #expect(!old.needsRehash(hash))
        #expect(try await !new.needsRehash(new.hash("secret")))
    }

    @Test(arguments: [
        "", "$", "secret", "$argon2id$v=19$m=19456,t=2,p=1$", "$argon2id$v=19$m=19456,t=2,p=1$AAAA$AAAA",
        "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA",
        "$2b$12$abcdefghijklmnopqrstuuB1Q0iHXlD7N9vQ8u0m8Rk1FfQh9oFGu",
    ])
    func `what is no argon2id hash verifies nothing and asks to be renewed`(_ text: String) async {
        let hasher = PasswordHasher()
        #expect(await !hasher.verify("password", against: text))
        #expect(hasher.needsRehash(text))
    }

    @Test func `a letter typed as one code point or as two is the same password`() async throws {
        let hasher = PasswordHasher(cost: PasswordTests.cheap)
        let hash = try await hasher.hash("Z\u{FC}rich \u{1F3AB}")
        #expect(await hasher.verify("Zu\u{308}rich \u{1F3AB}", against: hash))
        #expect(await !hasher.verify("Zurich \u{1F3AB}", against: hash))
    }

    @Test func `a NUL does not end the password`() async throws {
        let hasher = PasswordHasher(cost: PasswordTests.cheap)
        let hash = try await hasher.hash("one\u{0}two")
        #expect(await !hasher.verify("one", against: hash))
        #expect(await hasher.verify("one\u{0}two", against: hash))
    }

    @Test func `a password of megabytes is refused`() async {
        let hasher = PasswordHasher(cost: PasswordTests.cheap)
        await #expect(throws: PasswordError.tooLong) { try await hasher.hash(String(repeating: "x", count: 1_025)) }
        #expect(await !hasher.verify(String(repeating: "x", count: 5_000_000), against: nil))
    }

    @Test func `an account that does not exist takes as long as a wrong password`() async throws {
        let hasher = PasswordHasher()
        let hash = try await hasher.hash("correct horse")
        #expect(await !hasher.verify("wrong", against: nil))
        let clock = ContinuousClock()
        var wrong = Duration.seconds(60)
        var nobody = Duration.seconds(60)
        // The least of many, for other tests have the processors at the same time.
        for _ in 0..<15 {
            wrong = min(wrong, await clock.measure { #expect(await !hasher.verify("wrong", against: hash)) })
            nobody = min(nobody, await clock.measure { #expect(await !hasher.verify("wrong", against: nil)) })
        }
        #expect(nobody > wrong / 3 && wrong > nobody / 3, "\(nobody) and \(wrong)")
    }

    @Test func `hashing does not hold up other tasks`() async throws {
        let hasher = PasswordHasher()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 { group.addTask { _ = try await hasher.hash("crowd") } }
            let clock = ContinuousClock()
            let longest = await Task.detached {
                var longest = Duration.zero
                for _ in 0..<20 { longest = max(longest, await clock.measure { await Task.yield() }) }
                return longest
            }.value
            // Eight hashes on the tasks' own threads would take all of them for as long as they last.
            #expect(longest < .seconds(5))
            try await group.waitForAll()
        }
    }
}

import Contracts
import Discovery
import Logging
import Messaging
import Passwords
import ServiceKit
import Storage
import Values

/// Accounts.
struct UserRoutes: Sendable {
    let database: Database
    let outbox: Outbox
    let hasher: PasswordHasher
    let queue: PasswordQueue
    let logger: Logger

    var endpoints: [Endpoint] {
        [
            Endpoint(AuthenticationRoutes.register, register),
            Endpoint(AuthenticationRoutes.me, me),
            Endpoint(AuthenticationRoutes.verifyEmail, verifyEmail),
        ]
    }

    @Sendable func register(_ call: Call) async throws -> Reply {
        var registration = try call.body(Registration.self)
        registration.email = EmailAddress.normalised(registration.email)
        try registration.validate()
        let (account, outbox) = (registration, outbox)
        let hash = try await queue.turn(of: account.email) { try await hasher.hash(answering: account.password) }
        let (id, verification) = (UserID(), OpaqueToken())
        let user = try await database.write { tx in
            let user = User(
                id: id, email: account.email, name: account.name, locale: account.locale ?? "en", isEmailVerified: false,
                isAdmin: false, createdAt: try tx.now, memberships: [])
            let isNew = try UserStore.insert(
                StoredUser(user: user, passwordHash: hash), verification: verification.hash, in: tx)
            guard isNew else { throw Problem.emailTaken }
            try outbox.append(
                UserRegistered(
                    userId: id, email: user.email, name: user.name, locale: user.locale, verificationToken: verification.text),
                of: "\(id)", version: 1, in: tx)
            return user
        }
        logger.info("a user registered", metadata: ["user": "\(id)"])
        return try .created(RegistrationAnswer(user: user), at: AuthenticationRoutes.me.path)
    }

    @Sendable func me(_ call: Call) async throws -> Reply {
        let id = try call.user.id
        guard let user = try await database.read({ tx in try UserStore.find(id, in: tx)?.user }) else {
            throw Problem.unauthenticated
        }
        return try .ok(user)
    }

    /// May be repeated: mail programs open links before people do.
    @Sendable func verifyEmail(_ call: Call) async throws -> Reply {
        let hash = OpaqueToken.hash(of: try call.body(VerifyEmailRequest.self).token)
        guard let user = try await database.write({ tx in try UserStore.verifyEmail(hash, in: tx) }) else {
            throw Problem.invalid("token", "is not the token of any account; take the whole link from the mail")
        }
        logger.info("an address was verified", metadata: ["user": "\(user)"])
        return .noContent
    }
}

extension Problem {
    static let emailTaken = Problem.conflict(
        "email-taken", "There is an account with this address", "Sign in with it, or register with another address.")
}

extension Registration {
    /// The bounds of a password follow NIST SP 800-63B: a least length, no rules about its characters, room for any phrase.
    func validate() throws {
        var validation = Validation()
        validation.email(email, "email")
        validation.line(name, "name", atMost: 200)
        validation.check(password.unicodeScalars.count >= 8, "password", "must be at least 8 characters long")
        validation.check(
            password.unicodeScalars.count <= 200 && password.utf8.count <= PasswordHasher.maximumLength, "password",
            "must be at most 200 characters long")
        if let locale { validation.check(Registration.isLocale(locale), "locale", "must be a language tag, such as en or de-AT") }
        try validation.end()
    }

    /// The form of BCP 47: a language, then subtags.
    private static func isLocale(_ text: String) -> Bool {
        guard text.utf8.count <= 35 else { return false }
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        return (2...3).contains(parts[0].utf8.count) && parts[0].allSatisfy { $0.isASCII && $0.isLetter }
            && parts.dropFirst().allSatisfy { part in
                (1...8).contains(part.utf8.count) && part.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) }
            }
    }
}

extension PasswordHasher {
    /// A hash, or a `Problem` that can be answered.
    func hash(answering password: String) async throws -> String {
        do {
            return try await hash(password)
        } catch .outOfMemory {
            throw Problem.unavailable("There is not enough memory to check passwords at the moment. Try again.", retryAfter: 5)
        } catch .tooLong {
            throw Problem.invalid("password", "must be at most 200 characters long")
        }
    }
}

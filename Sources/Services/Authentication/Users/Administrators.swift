import Configuration
import Contracts
package import Discovery
import Foundation
package import Passwords
package import ServiceKit
package import Storage
import Values

/// Accounts that are made at the command line instead of by registering.
package struct Administrators: Sendable {
    private let database: Database
    private let hasher: PasswordHasher

    package init(database: Database, hasher: PasswordHasher) {
        self.database = database
        self.hasher = hasher
    }

    /// Of the service with this environment, with its strength of hashes.
    package init(_ environment: ServiceEnvironment) throws {
        let configuration = try AuthenticationConfiguration(environment.configuration.snapshot())
        self.init(database: environment.database, hasher: PasswordHasher(cost: configuration.passwordCost))
    }

    /// Makes an administrator if there is none, and tells its password, once; nil if there is one.
    ///
    /// Throws `Problem` 409 `email-taken` if the address belongs to somebody else: an account that anybody may have registered
    /// is never raised.
    package func ensureAdministrator(email: String) async throws -> (email: String, password: String)? {
        if try await database.read({ tx in try UserStore.hasAdministrator(in: tx) }) { return nil }
        let (address, password) = (EmailAddress.normalised(email), Administrators.readablePassword())
        let hash = try await hasher.hash(answering: password)
        let isMade = try await database.write { tx in
            guard try !UserStore.hasAdministrator(in: tx) else { return false }
            let user = User(
                id: UserID(), email: address, name: "Administrator", locale: "en", isEmailVerified: true, isAdmin: true,
                createdAt: try tx.now, memberships: [])
            guard try UserStore.insert(StoredUser(user: user, passwordHash: hash), verification: nil, in: tx) else {
                // Another instance was faster, or somebody has registered with this address.
                guard try UserStore.hasAdministrator(in: tx) else { throw Problem.emailTaken }
                return false
            }
            return true
        }
        return isMade ? (address, password) : nil
    }

    /// Makes an account whose address counts as verified, because whoever has the command line vouches for it.
    ///
    /// Throws `Problem` 422 for what registering would refuse as well, 409 `email-taken` for an address that has an account.
    @discardableResult
    package func createUser(email: String, password: String, name: String, isAdmin: Bool) async throws -> UserID {
        let address = EmailAddress.normalised(email)
        try Registration(email: address, password: password, name: name).validate()
        let hash = try await hasher.hash(answering: password)
        let id = UserID()
        try await database.write { tx in
            let user = User(
                id: id, email: address, name: name, locale: "en", isEmailVerified: true, isAdmin: isAdmin, createdAt: try tx.now,
                memberships: [])
            guard try UserStore.insert(StoredUser(user: user, passwordHash: hash), verification: nil, in: tx) else {
                throw Problem.emailTaken
            }
        }
        return id
    }

    /// 80 random bits in groups that can be read aloud: `k7m2-p9x4-…`.
    private static func readablePassword() -> String {
        var random = SystemRandomNumberGenerator()
        let characters = Array(CrockfordBase32.encode((0..<10).map { _ in UInt8.random(in: .min ... .max, using: &random) }))
        return stride(from: 0, to: characters.count, by: 4).map { String(characters[$0..<min($0 + 4, characters.count)]) }
            .joined(separator: "-")
    }
}

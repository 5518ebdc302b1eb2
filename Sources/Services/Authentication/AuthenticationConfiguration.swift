package import Configuration
package import Passwords
import ServiceKit
package import Values

/// The settings of Authentication. They may change while it runs, but for what is said to be read at the start.
package struct AuthenticationConfiguration: Sendable {
    /// `access.token.seconds`: how long an access token is good for. Default 900 (15 minutes).
    package let accessTokenLifetime: TimeSpan
    /// `refresh.token.days`: how long a session lives that is not refreshed. Default 30.
    package let refreshTokenLifetime: TimeSpan
    /// `argon2.memory.kibibytes`: memory of one password hash. Default 19456 (19 MiB, OWASP's strength).
    /// `argon2.passes`: times that this memory is gone over. Default 2. Both are read at the start.
    package let passwordCost: PasswordHasher.Cost
    /// `password.queue`: how many requests may wait for a password's hash; more are answered 503. Default 200. Read at the start.
    package let passwordQueue: Int
    /// `login.failures`: how many wrong passwords for one address within the window are answered 401; then 429. Default 10.
    package let loginFailures: Int
    /// `login.window.seconds`: how long failures are counted together, and remembered. Default 900 (15 minutes).
    package let loginWindow: TimeSpan

    /// Throws `Problem` for a setting that cannot be meant.
    package init(_ reader: ConfigSnapshotReader) throws {
        // Own tokens are fetched anew a minute before their end, so that one must live longer than that.
        accessTokenLifetime = .seconds(Int64(try reader.number("access.token.seconds", default: 900, in: 120...86_400)))
        refreshTokenLifetime = .days(Int64(try reader.number("refresh.token.days", default: 30, in: 1...400)))
        passwordCost = PasswordHasher.Cost(
            memoryKiB: UInt32(try reader.number("argon2.memory.kibibytes", default: 19_456, in: 8...4_194_304)),
            passes: UInt32(try reader.number("argon2.passes", default: 2, in: 1...100)))
        passwordQueue = try reader.number("password.queue", default: 200, in: 1...100_000)
        loginFailures = try reader.number("login.failures", default: 10, in: 1...1_000)
        loginWindow = .seconds(Int64(try reader.number("login.window.seconds", default: 900, in: 1...86_400)))
    }
}

package import Configuration
import Discovery
package import Passwords
package import Values

/// The settings of Authentication. All are read once, at start.
package struct AuthenticationConfiguration: Sendable {
    /// `access.token.seconds`: how long an access token is good for. Default 900 (15 minutes).
    package let accessTokenLifetime: TimeSpan
    /// `refresh.token.days`: how long a session lives that is not refreshed. Default 30.
    package let refreshTokenLifetime: TimeSpan
    /// `argon2.memory.kibibytes`: memory of one password hash. Default 19456 (19 MiB, OWASP's strength).
    /// `argon2.passes`: times that this memory is gone over. Default 2.
    package let passwordCost: PasswordHasher.Cost
    /// `password.queue`: how many requests may wait for a password's hash; more are answered 503. Default 200.
    package let passwordQueue: Int
    /// `login.failures`: how many wrong passwords for one address within the window are answered 401; then 429. Default 10.
    package let loginFailures: Int
    /// `login.window.seconds`: how long failures are counted together, and remembered. Default 900 (15 minutes).
    package let loginWindow: TimeSpan

    package init(_ reader: ConfigReader) throws {
        func setting(_ key: ConfigKey, default value: Int, _ range: ClosedRange<Int>) throws -> Int {
            let setting = reader.int(forKey: key, default: value)
            guard range.contains(setting) else {
                throw Problem.badRequest(
                    "The setting \(key) is \(setting); it must be from \(range.lowerBound) to \(range.upperBound).")
            }
            return setting
        }
        // Own tokens are fetched anew a minute before their end, so that one must live longer than that.
        accessTokenLifetime = .seconds(Int64(try setting("access.token.seconds", default: 900, 120...86_400)))
        refreshTokenLifetime = .days(Int64(try setting("refresh.token.days", default: 30, 1...400)))
        passwordCost = PasswordHasher.Cost(
            memoryKiB: UInt32(try setting("argon2.memory.kibibytes", default: 19_456, 8...4_194_304)),
            passes: UInt32(try setting("argon2.passes", default: 2, 1...100)))
        passwordQueue = try setting("password.queue", default: 200, 1...100_000)
        loginFailures = try setting("login.failures", default: 10, 1...1_000)
        loginWindow = .seconds(Int64(try setting("login.window.seconds", default: 900, 1...86_400)))
    }
}

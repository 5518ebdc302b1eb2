import Configuration
import Discovery
import ServiceKit
import Values

/// The settings of the service registry. All are read once, at start.
struct RegistryConfiguration: Sendable {
    /// `peers`: the other registries, such as `http://user:password@10.0.0.8:8761/eureka`. None by default.
    let peers: [RegistryAddress]
    /// `user` and `password`: what clients say in their URL. Nobody is asked for them by default.
    let credentials: Credentials?
    /// `preservation.enabled`: whether instances stay listed whose leases have ended, while many do not renew at once. Default true.
    /// `preservation.instances`: in registries of fewer nothing is preserved. Default 20.
    /// `preservation.minutes`: how long at most. Default 30.
    let preservation: Preservation.Rule
    /// `most.instances`: more are refused. Default 10,000.
    let mostInstances: Int

    struct Credentials: Sendable {
        let user: String
        let password: String
    }

    /// Throws `Problem` for a setting that cannot be meant.
    init(_ reader: ConfigSnapshotReader) throws {
        peers = try reader.texts("peers", isSecret: true, default: []).enumerated().map { index, text in
            guard let address = RegistryAddress(text) else {
                throw Problem.badRequest(
                    "The setting serviceRegistry.peers has no URL in place \(index + 1); say http://USER:PASSWORD@HOST:8761/eureka.")
            }
            return address
        }
        switch (try reader.text("user"), try reader.text("password", isSecret: true)) {
        case (let user?, let password?) where !user.isEmpty && !password.isEmpty && !user.contains(":"):
            credentials = Credentials(user: user, password: password)
        case (nil, nil): credentials = nil
        default:
            throw Problem.badRequest(
                "The settings serviceRegistry.user and serviceRegistry.password go together; a user has no colon.")
        }
        preservation = Preservation.Rule(
            isEnabled: try reader.flag("preservation.enabled", default: true),
            fewestInstances: try reader.number("preservation.instances", default: 20, in: 1...1_000_000),
            longest: .minutes(Int64(try reader.number("preservation.minutes", default: 30, in: 1...10_000))))
        mostInstances = try reader.number("most.instances", default: 10_000, in: 1...1_000_000)
    }
}

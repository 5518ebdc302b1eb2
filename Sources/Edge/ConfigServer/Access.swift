import Configuration
import Discovery
import Foundation
import ServiceKit

/// Who may read the settings of which application, and who may do what else.
struct Access: Sendable {
    enum Right: String, Sendable, CaseIterable {
        case encrypt, decrypt, monitor
    }

    struct User: Sendable {
        let name: String
        fileprivate let password: String
        /// `*` for all.
        fileprivate let applications: Set<String>
        fileprivate let rights: Set<Right>
        fileprivate var readsAll: Bool { applications.contains("*") }
    }

    /// What all applications have in common.
    static let shared = "application"

    /// Nil where everybody may do everything.
    private let users: [String: User]?
    /// All applications that are somebody's.
    private let applications: [String]

    /// - `users`: their names. `user.NAME.password` (a secret). `user.NAME.applications`: whose settings they read, by default those of
    ///   the application of their own name; `*` for all. `user.NAME.may`: `encrypt`, `decrypt`, `monitor`; by default none.
    /// - `open`: whether everybody may do everything who reaches the server; only where there are no users. Default false.
    init(_ reader: ConfigSnapshotReader) throws {
        let names = try reader.texts("users", default: [])
        guard !names.isEmpty else {
            guard try reader.flag("open", default: false) else {
                throw Problem.badRequest(
                    "Nothing says who may read settings. Set TICKETFLOW_CONFIG_SERVER_USERS and a password for each, or TICKETFLOW_CONFIG_SERVER_OPEN=true for everybody."
                )
            }
            users = nil
            applications = []
            return
        }
        var users: [String: User] = [:]
        for name in names {
            let key = "user.\(name)"
            guard let password = try reader.text(ConfigKey("\(key).password"), isSecret: true), !password.isEmpty else {
                throw Problem.badRequest("The setting configServer.\(key).password is missing.")
            }
            let rights = try reader.texts(ConfigKey("\(key).may"), default: []).map { text in
                guard let right = Right(rawValue: text) else {
                    throw Problem.badRequest(
                        "The setting configServer.\(key).may cannot be \(text); there are \(Right.allCases.map(\.rawValue).joined(separator: ", "))."
                    )
                }
                return right
            }
            users[name] = User(
                name: name, password: password,
                applications: Set(try reader.texts(ConfigKey("\(key).applications"), default: [name])), rights: Set(rights))
        }
        self.users = users
        applications = Set(users.values.flatMap(\.applications)).subtracting(["*"]).union([Access.shared]).sorted { $0.count > $1.count }
    }

    /// Who asks, by a field `Authorization: Basic`. Nil where everybody may do everything; throws 401 where it is nobody known.
    func user(_ authorization: String?) throws -> User? {
        guard let users else { return nil }
        guard let said = BasicCredentials(authorization), let user = users[said.user],
            Secrets.areSame(said.password, user.password)
        else { throw Access.unknown }
        return user
    }

    static let unknown = Problem(
        401, "unauthenticated", "Sign in first", detail: "Send the name and the password of a user of the Config Server (HTTP Basic).")

    func demand(_ right: Right, of user: User?) throws {
        guard let user, !user.rights.contains(right) else { return }
        throw Problem.forbidden("The user \(user.name) may not \(right.rawValue); see the setting configServer.user.\(user.name).may.")
    }

    /// Holds that all files which make up these settings are for this user's eyes. `sales-manager.yml` is the application `sales-manager`'s,
    /// and not what `sales` has for a profile `manager`.
    func demandReading(_ application: String, _ profiles: [String], by user: User?) throws {
        guard let user, !user.readsAll else { return }
        let names = [application] + profiles.flatMap { ["\(application)-\($0)", "\(Access.shared)-\($0)"] }
        guard names.allSatisfy({ isOpen($0, to: user) }) else {
            throw Problem.forbidden("The user \(user.name) may not read these settings.")
        }
    }

    /// Holds the same for a plain file: it or its first folder is named after an application that the user reads, or shared, and nothing
    /// in its path after another's.
    func demandReading(file path: [String], by user: User?) throws {
        guard let user, !user.readsAll else { return }
        let names = Access.names(in: path.map { String($0) })
        guard let first = names.first, isOpen(first, to: user),
            names.dropFirst().allSatisfy({ owner(of: $0) == nil || isOpen($0, to: user) })
        else { throw Problem.forbidden("The user \(user.name) may not read this file.") }
    }

    /// Holds that nothing in the path of a file that was found is named after an application of others.
    func demandReading(found path: String, by user: User?) throws {
        guard let user, !user.readsAll else { return }
        let names = Access.names(in: path.split(separator: "/").map(String.init))
        guard names.allSatisfy({ owner(of: $0) == nil || isOpen($0, to: user) }) else {
            throw Problem.forbidden("The user \(user.name) may not read these settings.")
        }
    }

    /// The folders and the file of a path, the file without its ending. An application's name may have dots.
    private static func names(in path: [String]) -> [String] {
        guard let file = path.last else { return [] }
        guard let dot = file.lastIndex(of: ".") else { return path }
        return path.dropLast() + [String(file[..<dot])]
    }

    private func isOpen(_ name: String, to user: User) -> Bool {
        guard let owner = owner(of: name) else { return false }
        return owner == Access.shared || user.applications.contains(owner)
    }

    /// The application with the longest name that this name is, or begins with, before a profile or a further ending.
    private func owner(of name: String) -> String? {
        applications.first { name == $0 || (name.hasPrefix($0) && "-.".contains(name.dropFirst($0.count).first ?? "x")) }
    }
}

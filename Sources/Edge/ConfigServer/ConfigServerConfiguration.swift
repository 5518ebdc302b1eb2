import Configuration
import Discovery
import Foundation
import ServiceKit
import Values

/// The settings of the Config Server, behind `configServer.`. All are read once, at start.
struct ConfigServerConfiguration: Sendable {
    /// Where settings are kept.
    enum Place: Hashable, Sendable {
        /// A folder of this machine.
        case folder(String)
        /// A git repository, as `git fetch` takes it.
        case git(String)
    }

    /// `backends`: where settings are kept, the one that wins first: `git:https://host/settings.git`, `folder:/etc/ticketflow`.
    let places: [Place]
    /// `searchPaths`: folders of each backend in which settings lie, the one that wins last. May hold `{application}`, `{profile}` and
    /// `{label}`. Default: the top.
    let searchPaths: [String]
    /// `label`: what is read where a request names no label. Default `main`, and where there is none, `master`.
    let labels: [String]
    /// `refreshSeconds`: how often it is looked for changes that nobody announces. 1 to 86,400, default 10.
    let refresh: TimeSpan
    /// `git.seconds`: how long the `git` program may take for one thing. 1 to 3,600, default 30.
    let gitTime: TimeSpan
    /// `git.user` and `git.password` (a secret): for repositories behind HTTP.
    let gitCredentials: Credentials?
    /// `git.sshKey`: the file of a private key, for repositories behind SSH.
    let sshKey: String?
    /// `users`, `user.NAME.password`, `user.NAME.applications`, `user.NAME.may`, or `open`.
    let access: Access
    /// `webhookSecret` (a secret): what GitHub signs with and GitLab sends. Default: none, and so no webhook without a user.
    let webhookSecret: String?
    /// `encrypt.key` (a secret), or `encrypt.keyFile`, a file that holds it: a private key in PEM, RSA or P-256, or any text, which is
    /// then a symmetric key. `encrypt.salt`: of a symmetric key, in hexadecimal digits, default `deadbeef`. Default: no key.
    let cipher: SettingsCipher?

    struct Credentials: Hashable, Sendable {
        let user: String
        let password: String
    }

    /// Throws `Problem` for a setting that cannot be meant.
    init(_ reader: ConfigSnapshotReader) throws {
        let backends = try reader.texts("backends", default: [])
        places = try backends.enumerated().map { try Place($1, inPlace: $0 + 1) }
        guard !places.isEmpty else {
            throw Problem.badRequest(
                "Nothing says where the settings are. Set TICKETFLOW_CONFIG_SERVER_BACKENDS, such as git:https://host/settings.git or folder:/etc/ticketflow."
            )
        }
        searchPaths = try reader.texts("searchPaths", default: [""]).map { $0.trimming { $0 == "/" } }
        labels = try reader.text("label").map { [$0] } ?? ["main", "master"]
        refresh = .seconds(Int64(try reader.number("refreshSeconds", default: 10, in: 1...86_400)))
        gitTime = .seconds(Int64(try reader.number("git.seconds", default: 30, in: 1...3_600)))
        gitCredentials = try reader.text("git.user").map {
            Credentials(user: $0, password: try reader.text("git.password", isSecret: true) ?? "")
        }
        sshKey = try reader.text("git.sshKey")
        access = try Access(reader)
        webhookSecret = try reader.text("webhookSecret", isSecret: true).flatMap { $0.isEmpty ? nil : $0 }
        let salt = try reader.text("encrypt.salt", default: "deadbeef")
        if let key = try reader.text("encrypt.key", isSecret: true), !key.isEmpty {
            cipher = try SettingsCipher(key: key, salt: salt)
        } else if let file = try reader.text("encrypt.keyFile") {
            guard let key = try? String(contentsOfFile: file, encoding: .utf8) else {
                throw Problem.badRequest("The setting configServer.encrypt.keyFile names \(file), which cannot be read.")
            }
            cipher = try SettingsCipher(key: key.trimming(\.isWhitespace), salt: salt)
        } else {
            cipher = nil
        }
    }
}

extension ConfigServerConfiguration.Place {
    /// Nothing of it is said again: it may hold a password.
    fileprivate init(_ text: String, inPlace place: Int) throws {
        // With SSH a name before the host is part of the address, and no secret.
        if let user = text.firstMatch(of: /:\/\/([^\/]*)@/)?.output.1, user.contains(":") || !text.hasPrefix("git:ssh:") {
            throw Problem.badRequest(
                "The setting configServer.backends has a user or a password in place \(place); say them with configServer.git.user and configServer.git.password."
            )
        }
        let parts = text.split(separator: ":", maxSplits: 1)
        switch parts.first {
        case "git" where parts.count == 2: self = .git(String(parts[1]))
        case "folder" where parts.count == 2: self = .folder(String(parts[1]))
        default:
            throw Problem.badRequest(
                "The setting configServer.backends has no backend in place \(place); say git: and a repository, or folder: and a folder, such as folder:/etc/ticketflow."
            )
        }
    }
}

extension StringProtocol {
    func trimming(_ isEdge: (Character) -> Bool) -> String {
        var rest = self[...]
        while let first = rest.first, isEdge(first) { rest.removeFirst() }
        while let last = rest.last, isEdge(last) { rest.removeLast() }
        return String(rest)
    }
}

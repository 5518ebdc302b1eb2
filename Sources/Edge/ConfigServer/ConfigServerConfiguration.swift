import Configuration
import Discovery
import Foundation
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
    init(_ reader: ConfigReader) throws {
        let backends = reader.stringArray(forKey: "backends", default: [])
        places = try backends.map(Place.init)
        guard !places.isEmpty else {
            throw Problem.badRequest(
                "Nothing says where the settings are. Set TICKETFLOW_CONFIG_SERVER_BACKENDS, such as git:https://host/settings.git or folder:/etc/ticketflow."
            )
        }
        searchPaths = reader.stringArray(forKey: "searchPaths", default: [""]).map { $0.trimming { $0 == "/" } }
        labels = reader.string(forKey: "label").map { [$0] } ?? ["main", "master"]
        func seconds(_ key: ConfigKey, default value: Int, _ range: ClosedRange<Int>) throws -> TimeSpan {
            let setting = reader.int(forKey: key, default: value)
            guard range.contains(setting) else {
                throw Problem.badRequest(
                    "The setting configServer.\(key) is \(setting); it must be from \(range.lowerBound) to \(range.upperBound).")
            }
            return .seconds(Int64(setting))
        }
        refresh = try seconds("refreshSeconds", default: 10, 1...86_400)
        gitTime = try seconds("git.seconds", default: 30, 1...3_600)
        gitCredentials = reader.string(forKey: "git.user").map {
            Credentials(user: $0, password: reader.string(forKey: "git.password", isSecret: true, default: ""))
        }
        sshKey = reader.string(forKey: "git.sshKey")
        access = try Access(reader)
        webhookSecret = reader.string(forKey: "webhookSecret", isSecret: true).flatMap { $0.isEmpty ? nil : $0 }
        let salt = reader.string(forKey: "encrypt.salt", default: "deadbeef")
        if let key = reader.string(forKey: "encrypt.key", isSecret: true), !key.isEmpty {
            cipher = try SettingsCipher(key: key, salt: salt)
        } else if let file = reader.string(forKey: "encrypt.keyFile") {
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
    fileprivate init(_ text: String) throws {
        let parts = text.split(separator: ":", maxSplits: 1)
        switch parts.first {
        case "git" where parts.count == 2: self = .git(String(parts[1]))
        case "folder" where parts.count == 2: self = .folder(String(parts[1]))
        default:
            throw Problem.badRequest(
                "The setting configServer.backends cannot be \(text); say git: and a repository, or folder: and a folder, such as folder:/etc/ticketflow."
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

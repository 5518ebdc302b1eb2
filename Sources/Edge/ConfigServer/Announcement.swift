import Crypto
import Discovery
import Foundation
import HTTPTypes
import ServiceKit
import Values

/// What somebody says has changed: a push that GitHub or GitLab tells of, or paths.
struct Announcement: Equatable, Sendable {
    let paths: Set<String>

    /// - Throws: 400 for what names no paths.
    init(_ request: IncomingRequest) throws {
        let isJSON = request.headers[.contentType]?.lowercased().contains("json") ?? false
        var paths = try Query(of: request.target).pairs.paths
        if isJSON {
            let push: Push
            do {
                push = try JSON.value(Push.self, from: request.body)
            } catch {
                throw Problem.badRequest("The body is not what GitHub or GitLab send for a push, and names no path.")
            }
            self.paths = push.paths.union(paths)
            // A push of many commits names only some of them, and one of a branch that is new or gone none at all.
            guard push.commits != nil || !self.paths.isEmpty else {
                throw Problem.badRequest("The body is not what GitHub or GitLab send for a push, and names no path.")
            }
            return
        }
        paths.formUnion(try Query(Substring(decoding: request.body, as: UTF8.self)).pairs.paths)
        self.paths = paths
        guard !paths.isEmpty else { throw Problem.badRequest("Say what changed: path=sales-manager.yml, or path=* for everything.") }
    }

    /// Whether it is signed by GitHub with this secret, or brings it as GitLab does. In the same time for every wrong one.
    static func isSigned(_ request: IncomingRequest, with secret: String) -> Bool {
        let key = SymmetricKey(data: Data(secret.utf8))
        if let signature = request.headers[.gitHubSignature], signature.hasPrefix("sha256=") {
            let expected = hex(of: HMAC<SHA256>.authenticationCode(for: request.body, using: key))
            return Secrets.areSame(String(signature.dropFirst("sha256=".count)), expected)
        }
        guard let token = request.headers[.gitLabToken] else { return false }
        return Secrets.areSame(token, secret)
    }

    /// The applications that files may belong to: `foo-bar-dev.yml` to foo-bar-dev, foo-bar and foo; `application*` to all, which is `*`.
    static func applications(of paths: some Sequence<String>) -> Set<String> {
        var names: Set<String> = []
        for path in paths {
            let components = path.split(separator: "/")
            for (index, component) in components.enumerated() {
                var name = component
                if index == components.count - 1, let dot = component.lastIndex(of: ".") { name = component[..<dot] }
                if name == "*" || name == Access.shared || name.hasPrefix("\(Access.shared)-") {
                    names.insert("*")
                    continue
                }
                guard !name.isEmpty else { continue }
                names.insert(String(name))
                while let hyphen = name.lastIndex(of: "-") {
                    name = name[..<hyphen]
                    if !name.isEmpty { names.insert(String(name)) }
                }
            }
        }
        return names
    }

    private struct Push: Decodable {
        struct Commit: Decodable {
            let added: [String]?
            let modified: [String]?
            let removed: [String]?
        }

        enum Path: Decodable {
            case one(String)
            case many([String])

            init(from decoder: any Decoder) throws {
                let container = try decoder.singleValueContainer()
                if let text = try? container.decode(String.self) {
                    self = .one(text)
                } else {
                    self = .many(try container.decode([String].self))
                }
            }

            var texts: [String] {
                switch self {
                case .one(let text): [text]
                case .many(let texts): texts
                }
            }
        }

        let commits: [Commit]?
        let path: Path?

        var paths: Set<String> {
            var paths = Set(path?.texts ?? [])
            for commit in commits ?? [] {
                for changed in [commit.added, commit.modified, commit.removed] { paths.formUnion(changed ?? []) }
            }
            return paths
        }
    }
}

extension HTTPField.Name {
    static let gitHubSignature = HTTPField.Name("X-Hub-Signature-256")!
    static let gitLabToken = HTTPField.Name("X-Gitlab-Token")!
}

extension [(name: String, value: String)] {
    /// What the parameters `path` name.
    fileprivate var paths: Set<String> { Set(filter { $0.name == "path" && !$0.value.isEmpty }.map(\.value)) }
}

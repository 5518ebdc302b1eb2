import Crypto
import Discovery
import Foundation
import Logging
import Metrics
import RemoteConfiguration
import Synchronization
import Values

/// Puts together what the backends have for an application. What it has put together once stays, until the files are others.
final class SettingsLibrary: Sendable {
    /// A state of all backends.
    struct Edition: Sendable {
        let label: String
        let trees: [(backend: any Backend, tree: FileTree)]

        var version: String { trees.map(\.tree.version).joined(separator: ",") }
    }

    struct Answer: Sendable {
        let body: [UInt8]
        let etag: String
    }

    let backends: [any Backend]
    private let configuration: ConfigServerConfiguration
    private let logger: Logger
    private let answers = Mutex<[String: Answer]>([:])
    private let unreadable = Counter(label: "config_server_unreadable_values_total")
    private static let mostAnswers = 2_000

    init(_ configuration: ConfigServerConfiguration, folder: String, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        backends = configuration.places.map { place -> any Backend in
            switch place {
            case .folder(let path): FolderBackend(path)
            case .git(let remote):
                GitBackend(remote, folder: "\(folder)/\(SettingsLibrary.folderName(remote)).git", configuration: configuration)
            }
        }
    }

    /// One that no other repository has.
    private static func folderName(_ remote: String) -> String {
        hex(of: SHA256.hash(data: Data(remote.utf8)).prefix(8))
    }

    /// - Throws: 404 for a label that no backend knows, 503 where nothing was ever read.
    func edition(_ label: String?) async throws -> Edition {
        let labels = label.map { [$0] } ?? configuration.labels
        var trees: [(any Backend, FileTree)] = []
        for backend in backends {
            if let tree = try await reading(backend, { try await backend.tree(labels) }) { trees.append((backend, tree)) }
        }
        // Where there are labels at all one must be known.
        let known = trees.first { $0.0.hasLabels } ?? (backends.contains(where: \.hasLabels) ? nil : trees.first)
        guard let known else {
            throw Problem(
                404, "unknown-label", "There is no such label",
                detail: "No branch, tag or commit is called \(labels.joined(separator: " or ")).")
        }
        return Edition(label: known.1.label, trees: trees)
    }

    /// - Throws: 503 where the backend cannot be read.
    private func reading<Result>(_ backend: any Backend, _ read: () async throws -> Result) async throws -> Result {
        do {
            return try await read()
        } catch let problem as Problem {
            throw problem
        } catch {
            logger.warning("a backend cannot be read", metadata: ["backend": "\(backend.name)", "error": "\(error)"])
            throw Problem.unavailable("The settings cannot be read at the moment.")
        }
    }

    func document(_ application: String, _ profiles: [String], label: String?, in edition: Edition) async throws -> Answer {
        try await answer("document", application, profiles, edition) {
            let sources = try await sources(application, profiles, edition)
            return try JSON.bytes(
                of: SettingsDocument(
                    name: application, profiles: profiles, label: label, version: edition.version, propertySources: sources))
        }
    }

    func form(
        _ form: SettingsAddress.Form, _ application: String, _ profiles: [String], isFilled: Bool, in edition: Edition
    ) async throws -> Answer {
        try await answer("\(form)\(isFilled)", application, profiles, edition) {
            let values = try await sources(application, profiles, edition).inForce
            return try form.render(isFilled ? Placeholders.filled(values) : values)
        }
    }

    /// A file of an edition.
    struct Found: Sendable {
        let path: String
        fileprivate let tree: FileTree
        fileprivate let backend: any Backend
    }

    /// The plain file that is meant; nil where there is none.
    func file(_ path: [String], _ application: String, _ profiles: [String], in edition: Edition) -> Found? {
        for (backend, tree) in edition.trees {
            for folder in folders(application, profiles, tree) {
                for candidate in SettingsLibrary.candidates(path.joined(separator: "/"), profiles) {
                    let full = folder + candidate
                    if tree.files[full] != nil { return Found(path: full, tree: tree, backend: backend) }
                }
            }
        }
        return nil
    }

    func contents(of file: Found) async throws -> (bytes: [UInt8], modified: Instant?) {
        try await reading(file.backend) {
            (try await file.backend.contents(of: file.path, in: file.tree), try await file.backend.modified(file.path, in: file.tree))
        }
    }

    /// The files that the settings of an application are made of, the one that wins first.
    func files(_ application: String, _ profiles: [String], in edition: Edition) -> [Found] {
        edition.trees.flatMap { backend, tree -> [Found] in
            let folders = folders(application, profiles, tree)
            return SettingsLibrary.stems(application, profiles).flatMap { stem in
                folders.flatMap { folder in
                    SettingsFile.extensions.map { "\(folder)\(stem).\($0)" }.filter { tree.files[$0] != nil }
                        .map { Found(path: $0, tree: tree, backend: backend) }
                }
            }
        }
    }

    /// The settings in force, to fill in placeholders of plain files.
    func values(_ application: String, _ profiles: [String], in edition: Edition) async throws -> [String: SettingValue] {
        try await sources(application, profiles, edition).inForce
    }

    private func answer(
        _ kind: String, _ application: String, _ profiles: [String], _ edition: Edition, make: () async throws -> [UInt8]
    ) async throws -> Answer {
        let key = "\(kind)\n\(application)\n\(profiles.joined(separator: ","))\n\(edition.label)\n\(edition.version)"
        if let answer = answers.withLock({ $0[key] }) { return answer }
        let body = try await make()
        let answer = Answer(body: body, etag: "\"\(hex(of: SHA256.hash(data: body).prefix(16)))\"")
        answers.withLock { answers in
            if answers.count >= SettingsLibrary.mostAnswers { answers = [:] }
            answers[key] = answer
        }
        return answer
    }

    // MARK: Files

    /// `nginx-dev.conf` is preferred to `nginx.conf` for the profile `dev`, of several profiles the last.
    private static func candidates(_ path: String, _ profiles: [String]) -> [String] {
        let name = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
        let dot = path[name...].lastIndex(of: ".") ?? path.endIndex
        return profiles.reversed().map { "\(path[..<dot])-\($0)\(path[dot...])" } + [path]
    }

    /// The search paths, the one that wins first, each with a slash at its end.
    private func folders(_ application: String, _ profiles: [String], _ tree: FileTree) -> [String] {
        configuration.searchPaths.reversed().flatMap { path -> [String] in
            let base = path.replacing("{application}", with: application).replacing("{label}", with: tree.label)
            let filled = path.contains("{profile}") ? profiles.reversed().map { base.replacing("{profile}", with: $0) } : [base]
            return filled.map { $0.isEmpty ? "" : "\($0)/" }
        }
    }

    /// Names of files without their ends, the one that wins first: the last profile, in it the application before what all share.
    private static func stems(_ application: String, _ profiles: [String]) -> [String] {
        var stems: [String] = []
        for suffix in profiles.reversed().map({ "-\($0)" }) + [""] {
            for name in [application, Access.shared] where !stems.contains(name + suffix) { stems.append(name + suffix) }
        }
        return stems
    }

    private func sources(_ application: String, _ profiles: [String], _ edition: Edition) async throws -> [SettingsDocument.Source] {
        var sources: [SettingsDocument.Source] = []
        for file in files(application, profiles, in: edition) { sources += try await read(file, profiles) }
        return sources
    }

    private func read(_ file: Found, _ profiles: [String]) async throws -> [SettingsDocument.Source] {
        let (path, backend) = (file.path, file.backend)
        let bytes = try await reading(backend) { try await backend.contents(of: path, in: file.tree) }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw unusable("\(path) is not UTF-8", backend) }
        let parts: [SettingsFile.Part]
        do {
            parts = try SettingsFile.parts(text, path: path)
        } catch {
            throw unusable("\(error)", backend)
        }
        let name = "\(backend.name)/\(path)"
        return parts.enumerated().reversed().compactMap { index, part in
            guard part.profiles.map({ !$0.isEmpty && !Set($0).isDisjoint(with: profiles) }) ?? true else { return nil }
            return SettingsDocument.Source(
                name: parts.count == 1 ? name : "\(name) (document #\(index))", source: decrypted(part.values, path: path))
        }
    }

    /// A file that cannot be read is no reason to hand out settings that lack it.
    private func unusable(_ what: String, _ backend: any Backend) -> Problem {
        logger.error("a file of settings cannot be read", metadata: ["backend": "\(backend.name)", "error": "\(what)"])
        return Problem(
            500, "unreadable-settings", "A file of settings cannot be read", detail: "Its name and the place are in the server's log.")
    }

    private func decrypted(_ values: [String: SettingValue], path: String) -> [String: SettingValue] {
        var result = values
        for (key, value) in values {
            guard case .text(let text) = value, text.hasPrefix(SettingsCipher.prefix) else { continue }
            if let plain = try? configuration.cipher?.decrypt(String(text.dropFirst(SettingsCipher.prefix.count))) {
                result[key] = .text(plain)
            } else {
                unreadable.increment()
                logger.warning("a value cannot be decrypted", metadata: ["file": "\(path)", "key": "\(key)"])
                result[key] = nil
                result["invalid.\(key)"] = .text("<n/a>")
            }
        }
        return result
    }
}

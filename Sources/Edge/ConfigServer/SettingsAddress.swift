import Discovery

/// What a path of the Config Server names. Whatever could lead out of a repository is refused here, whichever backend would read it.
enum SettingsAddress: Hashable, Sendable {
    enum Form: String, Sendable {
        case yml, yaml, properties, json
    }

    /// `/{application}/{profiles}[/{label}]`
    case document(application: String, profiles: [String], label: String?)
    /// `/[{label}/]{application}-{profiles}.{yml,yaml,properties,json}`
    case form(Form, application: String, profiles: [String], label: String?)
    /// `/{application}/{profiles}/{label}/{path}`
    case file(application: String, profiles: [String], label: String?, path: [String])

    var application: String {
        switch self {
        case .document(let application, _, _), .form(_, let application, _, _), .file(let application, _, _, _): application
        }
    }

    var profiles: [String] {
        switch self {
        case .document(_, let profiles, _), .form(_, _, let profiles, _), .file(_, let profiles, _, _): profiles
        }
    }

    var label: String? {
        switch self {
        case .document(_, _, let label), .form(_, _, _, let label), .file(_, _, let label, _): label
        }
    }

    /// - Parameters:
    ///   - path: percent-encoded.
    ///   - usesDefaultLabel: whether the path of a plain file begins where a label would stand.
    /// - Throws: 400 for a name that cannot be one, 404 for a path of another form.
    init(path: Substring, usesDefaultLabel: Bool) throws {
        let encoded = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        let segments = try encoded.map { segment in
            guard let decoded = segment.percentDecoded() else { throw SettingsAddress.malformed }
            return decoded
        }
        guard (1...32).contains(segments.count), let last = segments.last else { throw SettingsAddress.nothing }
        if segments.count <= 2, let (form, application, profiles) = try SettingsAddress.form(last) {
            let label = segments.count == 2 ? try SettingsAddress.label(segments[0]) : nil
            self = .form(form, application: application, profiles: profiles, label: label)
            return
        }
        guard segments.count >= 2 else {
            guard SettingsAddress.isName(last[...]) else { throw SettingsAddress.malformed }
            throw SettingsAddress.nothing
        }
        let application = try SettingsAddress.name(segments[0])
        let profiles = try SettingsAddress.profiles(segments[1])
        if usesDefaultLabel, segments.count >= 3 {
            self = .file(
                application: application, profiles: profiles, label: nil, path: try SettingsAddress.path(segments[2...]))
            return
        }
        let label = segments.count > 2 ? try SettingsAddress.label(segments[2]) : nil
        self =
            segments.count > 3
            ? .file(application: application, profiles: profiles, label: label, path: try SettingsAddress.path(segments[3...]))
            : .document(application: application, profiles: profiles, label: label)
    }

    private static let malformed = Problem.badRequest(
        "Names of applications, profiles and labels have letters, digits and -_.+@, and begin and end with a letter or a digit.")
    private static let nothing = Problem(
        404, "no-such-address", "There is nothing at this address", detail: "Settings are at /{application}/{profiles}/{label}.")

    /// Of `sales-manager-dev,test.yml`: split at the last hyphen. Nil for a name that is none of a form.
    private static func form(_ name: String) throws -> (Form, String, [String])? {
        guard let dot = name.lastIndex(of: "."), let form = Form(rawValue: String(name[name.index(after: dot)...])),
            let hyphen = name[..<dot].lastIndex(of: "-")
        else { return nil }
        return (form, try SettingsAddress.name(String(name[..<hyphen])), try profiles(String(name[name.index(after: hyphen)..<dot])))
    }

    private static func name(_ text: String) throws -> String {
        guard isName(text[...]) else { throw malformed }
        return text
    }

    private static func profiles(_ text: String) throws -> [String] {
        let names = text.split(separator: ",", omittingEmptySubsequences: false)
        guard names.count <= 16 else { throw Problem.badRequest("There may be at most 16 profiles at once.") }
        return try names.map { try name(String($0)) }
    }

    /// `(_)` stands for the slash of a branch such as `feature/x`.
    private static func label(_ text: String) throws -> String {
        let label = text.replacing("(_)", with: "/")
        // A slash by itself was encoded, and can only be meant to be overlooked.
        guard !text.contains("/"), label.split(separator: "/", omittingEmptySubsequences: false).allSatisfy({ isName($0) }) else {
            throw malformed
        }
        return label
    }

    private static func path(_ segments: ArraySlice<String>) throws -> [String] {
        guard segments.allSatisfy(isFileName) else {
            throw Problem.badRequest("Names of files have letters, digits, spaces and -_.+@,=~, and do not begin with a dot.")
        }
        return Array(segments)
    }

    private static func isName(_ text: Substring) -> Bool {
        guard (1...100).contains(text.utf8.count), let first = text.utf8.first, let last = text.utf8.last,
            first.isAlphanumeric, last.isAlphanumeric, !text.contains("..")
        else { return false }
        return text.utf8.allSatisfy { $0.isAlphanumeric || "-_.+@".utf8.contains($0) }
    }

    private static func isFileName(_ text: String) -> Bool {
        guard (1...200).contains(text.utf8.count), text.utf8.first != UInt8(ascii: "."), !text.contains("..") else { return false }
        return text.utf8.allSatisfy { $0.isAlphanumeric || "-_.+@,=~ ".utf8.contains($0) }
    }
}

extension UInt8 {
    fileprivate var isAlphanumeric: Bool {
        (48...57).contains(self) || (65...90).contains(self) || (97...122).contains(self)
    }
}

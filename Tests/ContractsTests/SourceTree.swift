import Foundation

/// The sources of this package as text, for rules that the compiler does not hold.
struct SourceTree {
    struct File {
        /// From the package's folder: `Sources/Platform/Values/Money.swift`.
        let path: String
        let text: String

        var folders: [String] { path.split(separator: "/").dropLast().map(String.init) }

        private static let accessLevels: Set = ["package", "public", "internal", "private", "fileprivate"]

        /// The modules that are imported, whatever the access.
        var imports: [String] {
            text.split(separator: "\n").compactMap { line in
                var words = line.split(separator: " ").map(String.init)[...]
                while let first = words.first, first.hasPrefix("@") || File.accessLevels.contains(first) {
                    words = words.dropFirst()
                }
                guard words.popFirst() == "import", let name = words.last else { return nil }
                return String(name.prefix { $0 != "." })
            }
        }

        /// The words of its identifiers in lower case: `orderToken` is `order` and `token`. Comments and texts are left out.
        var words: Set<String> {
            var words: Set<String> = []
            for line in text.split(separator: "\n") where !line.trimmingCharacters(in: .whitespaces).hasPrefix("//") {
                let code = line.split(separator: "//", maxSplits: 1).first ?? ""
                // Every other part stands between quotes.
                for (index, part) in code.split(separator: "\"", omittingEmptySubsequences: false).enumerated() where index % 2 == 0 {
                    for match in part.matches(of: #/[A-Z]?[a-z]+/#) { words.insert(match.output.lowercased()) }
                }
            }
            return words
        }
    }

    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    let files: [File]

    init() throws {
        let folder = SourceTree.root.appending(path: "Sources")
        let paths = FileManager.default.enumerator(atPath: folder.path)?.compactMap { $0 as? String } ?? []
        files = try paths.filter { $0.hasSuffix(".swift") }.sorted().map { path in
            File(path: "Sources/\(path)", text: try String(contentsOf: folder.appending(path: path), encoding: .utf8))
        }
    }

    func files(under folder: String) -> [File] {
        files.filter { $0.path.hasPrefix(folder + "/") }
    }

    /// The folders directly in this one, each the name of a target.
    func targets(in folder: String) -> Set<String> {
        let depth = folder.split(separator: "/").count
        return Set(files(under: folder).compactMap { $0.folders.count > depth ? $0.folders[depth] : nil })
    }
}

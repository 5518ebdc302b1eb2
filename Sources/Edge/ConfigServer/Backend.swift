import Values

/// The files of a backend at one time. It never changes; a later state is another tree.
struct FileTree: Hashable, Sendable {
    struct File: Hashable, Sendable {
        /// What its contents are found by: in git the id of the blob, in a folder where it is after links were followed, with size and time.
        let id: String
        let size: Int
    }

    /// The label that it was asked for by, or the default one.
    let label: String
    /// Another one for other contents; in git the id of the commit.
    let version: String
    /// By their paths from the top, with slashes.
    let files: [String: File]

    /// Paths of files that are not the same in another state.
    func changes(since other: FileTree) -> Set<String> {
        var changed = Set(files.filter { other.files[$0.key] != $0.value }.keys)
        changed.formUnion(other.files.keys.filter { files[$0] == nil })
        return changed
    }
}

/// What changed with a refresh.
enum Changes: Hashable, Sendable {
    case paths(Set<String>)
    case unknown

    static let none = Changes.paths([])

    mutating func add(_ other: Changes) {
        if case .paths(let paths) = self, case .paths(let others) = other {
            self = .paths(paths.union(others))
        } else {
            self = .unknown
        }
    }
}

/// Where settings are kept.
protocol Backend: Sendable {
    /// As it is named in answers and logs; holds no password.
    var name: String { get }
    /// Whether it knows several states by labels; one that does not has all of them alike.
    var hasLabels: Bool { get }
    /// The state of the first of these labels that it knows; nil where it knows none. Waits for the first refresh, and otherwise for nothing.
    func tree(_ labels: [String]) async throws -> FileTree?
    /// - Parameter path: of a file of the tree.
    func contents(of path: String, in tree: FileTree) async throws -> [UInt8]
    /// When a file was changed, if that is known.
    func modified(_ path: String, in tree: FileTree) async throws -> Instant?
    /// Looks for what is new. Of several at once only one works, and the others wait for a later one that has seen all that they could know of.
    func refresh() async throws -> Changes
    /// Why the last refresh failed; nil if it did not.
    var trouble: String? { get }
    /// Whether there is any state to answer from.
    var hasContents: Bool { get }
}

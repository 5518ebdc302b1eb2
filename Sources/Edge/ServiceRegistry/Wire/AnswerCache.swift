import Compression
import Discovery
import Values

/// The answers that all clients ask for again and again, made once for each version of the registry.
actor AnswerCache {
    enum Content: Hashable, Sendable {
        case everything, recentChanges
    }

    struct Kind: Hashable, Sendable {
        let content: Content
        let format: RegistryWriter.Format
        var isCompact = false
        var isCompressed = false

        init(_ content: Content, _ format: RegistryWriter.Format, isCompact: Bool = false, isCompressed: Bool = false) {
            self.content = content
            self.format = format
            self.isCompact = isCompact
            self.isCompressed = isCompressed
        }
    }

    struct Answer: Sendable {
        let version: Int64
        let bytes: [UInt8]
        fileprivate let madeAt: Instant
    }

    /// Renewals change nothing but their own times: these may be so late in a list of everything.
    private static let longest = TimeSpan.seconds(10)

    private let registry: Registry
    private var answers: [Kind: Answer] = [:]

    init(_ registry: Registry) {
        self.registry = registry
    }

    func answer(_ kind: Kind) -> Answer {
        let (version, now) = registry.with { table, now in (table.version, now) }
        if let answer = answers[kind], answer.version == version, now - answer.madeAt < AnswerCache.longest { return answer }
        let answer: Answer
        if kind.isCompressed {
            let plain = self.answer(Kind(kind.content, kind.format, isCompact: kind.isCompact))
            answer = Answer(version: plain.version, bytes: Gzip.compressed(plain.bytes), madeAt: plain.madeAt)
        } else {
            let (listing, version) = registry.with { table, now in
                (
                    RegistryListing(
                        version: "\(table.version)", hash: table.hash,
                        instances: kind.content == .everything ? table.instances : table.recentChanges(at: now)), table.version
                )
            }
            answer = Answer(version: version, bytes: listing.document(kind.format, isCompact: kind.isCompact), madeAt: now)
        }
        answers[kind] = answer
        return answer
    }
}

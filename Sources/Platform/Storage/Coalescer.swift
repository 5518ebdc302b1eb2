/// Decides requests together: those of one lane that arrive while a transaction runs share the next one.
///
/// With no load there is no added latency; under load one transaction reads once and writes for all.
public final class Coalescer<Item: Sendable, Answer: Sendable>: Sendable {
    public typealias Decision = @Sendable (_ items: [Item], _ tx: Transaction) throws -> [Result<Answer, any Error>]

    let decide: Decision

    /// - Parameter decide: answers the items in their order. It may run again, as the body of any transaction. An item that gets a
    ///   failure has changed nothing; what is thrown rolls back, and where several were decided, each is decided again alone.
    public init(_ decide: @escaping Decision) {
        self.decide = decide
    }
}

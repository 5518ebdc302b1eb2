import Contracts
import Discovery
import ServiceKit
import Storage
import Values

/// A change of one hold and its pools.
struct StockChange: Sendable {
    let hold: HoldID?
    /// Throws `Problem` only where it has changed nothing.
    let run: @Sendable (Transaction) throws -> Reply

    /// Changes of holds of one event that wait together share a transaction, one after the other: their pools are locked once, and there
    /// is one commit for all. By itself each would hold the pools for as long as a commit takes, and keep a connection waiting for them.
    static let together = Coalescer<StockChange, Reply> { changes, tx in
        if changes.count > 1 {
            // All in one order: those of one hold after those of another would be another order, and two instances wait for each other.
            try InventoryStore.lockPools(of: Set(changes.compactMap(\.hold)), in: tx)
        }
        return try changes.map { change in
            do {
                return .success(try change.run(tx))
            } catch let problem as Problem {
                return .failure(problem)
            }
        }
    }
}

extension Database {
    /// Changes stock together with whatever else of this event waits to be changed.
    func changeStock(
        of event: EventID, by hold: HoldID?, _ run: @escaping @Sendable (Transaction) throws -> Reply
    ) async throws -> Reply {
        try await write(StockChange(hold: hold, run: run), lane: event.description, by: StockChange.together)
    }
}

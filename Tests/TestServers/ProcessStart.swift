package import Foundation
import Synchronization

extension Process {
    private static let starts = Mutex(())

    /// `run()`, one at a time: Foundation reads outside its memory where several threads start programs at once.
    package func start() throws {
        try Process.starts.withLock { _ in try run() }
    }
}

package import Configuration
package import Logging
import Metrics
import ServiceLifecycle
import Synchronization
import Values

/// Settings as they are now. Whoever reads one asks each time anew; whoever needs several that fit together takes `current` once.
@dynamicMemberLookup
package final class LiveSettings<Value: Sendable>: Sendable {
    private let value: Mutex<Value>

    /// - Parameter value: until it is replaced.
    package init(_ value: Value) {
        self.value = Mutex(value)
    }

    package var current: Value { value.withLock { $0 } }

    package subscript<Setting>(dynamicMember setting: KeyPath<Value, Setting>) -> Setting {
        current[keyPath: setting]
    }

    fileprivate func replace(_ new: Value) {
        value.withLock { $0 = new }
    }
}

/// Follows the settings of one service: with every change the whole value is made anew, and one that cannot be made leaves the one of before.
package final class SettingsWatch: Service {
    private let reader: ConfigReader
    private let logger: Logger
    /// When settings came into force here last.
    private let applied: Gauge
    private let followers = Mutex<[@Sendable (ConfigSnapshotReader) -> Void]>([])

    package init(_ reader: ConfigReader, logger: Logger) {
        self.reader = reader
        self.logger = logger
        applied = Gauge(label: "settings_applied_timestamp_seconds", dimensions: [("part", logger.label)])
    }

    /// - Parameters:
    ///   - onChange: is told of each new value.
    ///   - make: throws for settings that cannot be meant; at the start so does this.
    package func follow<Value: Sendable>(
        onChange: @escaping @Sendable (Value) -> Void = { _ in }, _ make: @escaping @Sendable (ConfigSnapshotReader) throws -> Value
    ) throws -> LiveSettings<Value> {
        let settings = LiveSettings(try make(reader.snapshot()))
        let lastMistake = Mutex("")
        followers.withLock { followers in
            followers.append { [logger] snapshot in
                do {
                    let value = try make(snapshot)
                    lastMistake.withLock { $0 = "" }
                    settings.replace(value)
                    onChange(value)
                } catch {
                    // Said once, not with every change of something else.
                    let isNew = lastMistake.withLock { last in
                        defer { last = "\(error)" }
                        return last != "\(error)"
                    }
                    if isNew { logger.error("new settings cannot be used; those of before stay", metadata: ["error": "\(error)"]) }
                }
            }
        }
        return settings
    }

    package func run() async throws {
        guard followers.withLock({ !$0.isEmpty }) else {
            try? await gracefulShutdown()
            return
        }
        try await cancelWhenGracefulShutdown {
            try await self.reader.watchSnapshot { updates in
                for await snapshot in updates {
                    for follower in self.followers.withLock({ $0 }) { follower(snapshot) }
                    self.applied.record(Double(Instant.now.microseconds) / 1_000_000)
                }
            }
        }
    }
}

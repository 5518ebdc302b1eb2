package import Logging
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// Writes each log line as one JSON object to standard error: `time`, `level`, `logger`, `message`, then the metadata.
package struct JSONLogHandler: LogHandler {
    /// That of the whole process, unless this one logger was given another.
    package var logLevel: Logger.Level {
        get { own ?? JSONLogHandler.level.withLock { $0 } }
        set { own = newValue }
    }
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    private let label: String
    private var own: Logger.Level?

    private static let level = Mutex(Logger.Level.info)

    package init(label: String) {
        self.label = label
    }

    /// From now on, also of loggers that were made before.
    package static func setLevel(_ level: Logger.Level) {
        self.level.withLock { $0 = level }
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var line = "{\"time\":"
        line.appendJSON(JSONLogHandler.timestamp())
        line += ",\"level\":\"\(event.level)\",\"logger\":"
        line.appendJSON(label)
        line += ",\"message\":"
        line.appendJSON(event.message.description)
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { $1 } }
        if let given = event.metadata { all.merge(given) { $1 } }
        for (key, value) in all.sorted(by: { $0.key < $1.key }) {
            line += ","
            line.appendJSON(key)
            line += ":"
            line.appendJSON(value)
        }
        line += "}\n"
        JSONLogHandler.write(line)
    }

    private static let output = Mutex(())

    private static func write(_ line: String) {
        output.withLock { _ in
            var bytes = Array(line.utf8)[...]
            while !bytes.isEmpty {
                let count = bytes.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
                guard count > 0 else { return }
                bytes = bytes.dropFirst(count)
            }
        }
    }

    private static func timestamp() -> String {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        var calendar = tm()
        gmtime_r(&time.tv_sec, &calendar)
        func digits(_ value: Int, _ count: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, count - text.count)) + text
        }
        let date = "\(digits(Int(calendar.tm_year) + 1900, 4))-\(digits(Int(calendar.tm_mon) + 1, 2))-\(digits(Int(calendar.tm_mday), 2))"
        let clock = "\(digits(Int(calendar.tm_hour), 2)):\(digits(Int(calendar.tm_min), 2)):\(digits(Int(calendar.tm_sec), 2))"
        return "\(date)T\(clock).\(digits(time.tv_nsec / 1_000_000, 3))Z"
    }
}

extension String {
    fileprivate mutating func appendJSON(_ text: String) {
        self += "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": self += "\\\""
            case "\\": self += "\\\\"
            case "\n": self += "\\n"
            case "\r": self += "\\r"
            case "\t": self += "\\t"
            case let scalar where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                self += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: unicodeScalars.append(scalar)
            }
        }
        self += "\""
    }

    fileprivate mutating func appendJSON(_ value: Logger.MetadataValue) {
        switch value {
        case .string(let text): appendJSON(text)
        case .stringConvertible(let value): appendJSON(value.description)
        case .array(let values):
            self += "["
            for (index, value) in values.enumerated() {
                if index > 0 { self += "," }
                appendJSON(value)
            }
            self += "]"
        case .dictionary(let values):
            self += "{"
            for (index, (key, value)) in values.sorted(by: { $0.key < $1.key }).enumerated() {
                if index > 0 { self += "," }
                appendJSON(key)
                self += ":"
                appendJSON(value)
            }
            self += "}"
        }
    }
}

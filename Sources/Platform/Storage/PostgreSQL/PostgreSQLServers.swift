internal import CLibpq
import Values

/// The servers that a connection string names, and how each is spoken to.
///
/// They are tried one after the other here and not within libpq, which in its nonblocking form has no time limit for each: behind a
/// first server that swallows packets the second would never be asked.
struct PostgreSQLServers: Sendable {
    private static let firstWait = TimeSpan.milliseconds(50)
    private static let longestWait = TimeSpan.seconds(1)

    private let settings: PostgreSQLSettings
    /// libpq's keywords, for each server.
    private let parameters: [[String: String]]
    /// What a session, or where there is none each transaction, is told first.
    let session: [(name: String, value: String)]

    init(_ connectionString: String, schema: String, settings: PostgreSQLSettings) throws {
        guard PostgreSQLServers.isPlain(schema) else {
            throw StorageError.unavailable("a schema's name is 1 to 63 lower-case letters, digits and underscores, not \(schema)")
        }
        self.settings = settings
        session = [
            ("search_path", schema),
            ("statement_timeout", "\(settings.statementTimeLimit.milliseconds)"),
            ("lock_timeout", "\(settings.lockTimeLimit.milliseconds)"),
            // A client that is gone without a word does not hold its locks for ever.
            ("idle_in_transaction_session_timeout", "\(settings.statementTimeLimit.milliseconds)"),
            // A prepared statement keeps the plan that was best when its table was nearly empty, until the table is analyzed again.
            ("enable_seqscan", "off"),
            // Compiling a plan costs more than running it, and without sequential scans estimates are large.
            ("jit", "off"),
        ]
        // What is wrong with it is not repeated: libpq quotes the text, and with it passwords.
        guard var common = PostgreSQLServers.parse(connectionString) else {
            throw StorageError.unavailable("the connection string cannot be read; it is postgresql://user@host/database or key=value pairs")
        }
        common["client_encoding"] = "UTF8"
        common["fallback_application_name"] = schema
        common.merge(PostgreSQLServers.defaults) { own, _ in own }
        let hosts = PostgreSQLServers.list(common["host"])
        let addresses = PostgreSQLServers.list(common["hostaddr"])
        let ports = PostgreSQLServers.list(common["port"])
        let count = max(hosts.count, addresses.count, 1)
        guard [0, count].contains(hosts.count), [0, count].contains(addresses.count), [0, 1, count].contains(ports.count) else {
            throw StorageError.unavailable("the connection string names as many ports and addresses as hosts, or one port for all")
        }
        parameters = (0..<count).map { index in
            var one = common
            if !hosts.isEmpty { one["host"] = hosts[index] }
            if !addresses.isEmpty { one["hostaddr"] = addresses[index] }
            if !ports.isEmpty { one["port"] = ports.count == 1 ? ports[0] : ports[index] }
            return one
        }
    }

    /// Tries the servers in turn, again and again, until one takes the connection or the time is over.
    /// - Parameters:
    ///   - deadline: nil for as long as the settings have patience.
    ///   - isSessionless: whether the session is told nothing; becomes true where a pooler does not let it be told.
    func connect(by deadline: Instant?, isSessionless: inout Bool) throws -> PostgreSQLLink {
        let limit = deadline ?? .now + settings.patience
        var pause = PostgreSQLServers.firstWait
        var known: [String] = []
        while true {
            var reasons: [String] = []
            for parameters in parameters(isSessionless: isSessionless) {
                do {
                    return try PostgreSQLLink(parameters, until: min(limit, .now + settings.connectTimeLimit))
                } catch let failure as PostgreSQLFailure {
                    if failure.isOfPooler, !isSessionless {
                        isSessionless = true
                        return try connect(by: deadline, isSessionless: &isSessionless)
                    }
                    guard case .unreachable(let reason) = failure else { throw failure }
                    reasons.append(reason)
                }
            }
            // A round that was cut short says less than the one before it.
            if .now < limit { known = reasons }
            guard .now + pause < limit else {
                if known.isEmpty, deadline != nil { throw PostgreSQLFailure.late }
                throw PostgreSQLFailure.unreachable((known.isEmpty ? reasons : known).joined(separator: "; "))
            }
            // Not all at the same time, where many connections were lost at once.
            PostgreSQLLink.sleep(TimeSpan(microseconds: .random(in: pause.microseconds / 2...pause.microseconds)))
            pause = min(TimeSpan(microseconds: pause.microseconds * 2), PostgreSQLServers.longestWait)
        }
    }

    private func parameters(isSessionless: Bool) -> [[String: String]] {
        guard !isSessionless else { return parameters }
        return parameters.map { one in
            var one = one
            let options = session.map { "-c \($0.name)=\($0.value)" }
            one["options"] = ([one["options"]].compactMap { $0 } + options).joined(separator: " ")
            return one
        }
    }

    /// What the connection string may say otherwise.
    private static let defaults = [
        // A service writes, and so has no use for a standby.
        "target_session_attrs": "read-write",
        // Of a host that is gone without a word the system would tell after two hours; a commit waits for that.
        "keepalives_idle": "5", "keepalives_interval": "2", "keepalives_count": "3", "tcp_user_timeout": "10000",
    ]

    private static func isPlain(_ name: String) -> Bool {
        (1...63).contains(name.utf8.count)
            && name.utf8.allSatisfy { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || (48...57).contains($0) || $0 == 95 }
            && !(48...57).contains(name.utf8.first ?? 48)
    }

    private static func list(_ value: String?) -> [String] {
        value.map { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) } ?? []
    }

    private static func parse(_ text: String) -> [String: String]? {
        guard let options = unsafe PQconninfoParse(text, nil) else { return nil }
        defer { unsafe PQconninfoFree(options) }
        var parameters: [String: String] = [:]
        var option = unsafe options
        while let keyword = unsafe option.pointee.keyword {
            if let value = unsafe option.pointee.val { unsafe parameters[String(cString: keyword)] = String(cString: value) }
            unsafe option += 1
        }
        return parameters
    }
}

extension TimeSpan {
    var milliseconds: Int64 { microseconds / 1_000 }
}

import Discovery
import HTTPTypes
import ServiceKit

/// What an address of the registry means. The prefixes are those of Spring (`/eureka`) and of Netflix (`/eureka/v2`, `/v2`).
enum Resource: Equatable {
    case dashboard
    case applications
    case recentChanges
    case application(String)
    case instance(LeaseTable.Key)
    case status(LeaseTable.Key)
    case metadata(LeaseTable.Key)
    case instanceByID(String)
    case vip(String)
    case secureVip(String)
    case batch
    /// TicketFlow's own: changes as they happen.
    case changes
    case serverStatus
    case statusOverrides

    /// - Parameter path: percent-encoded. Nil for what means nothing.
    init?(_ path: Substring) {
        var segments: [String] = []
        for segment in path.split(separator: "/") {
            guard let plain = segment.percentDecoded() else { return nil }
            segments.append(plain)
        }
        if segments.first == "eureka" { segments.removeFirst() }
        if segments.first == "v2" { segments.removeFirst() }
        switch segments.count {
        case 0: self = .dashboard
        case 1 where segments[0] == "apps": self = .applications
        case 1 where segments[0] == "changes": self = .changes
        case 1 where segments[0] == "status": self = .serverStatus
        case 2 where segments == ["apps", "delta"]: self = .recentChanges
        case 2 where segments[0] == "apps": self = .application(segments[1].uppercased())
        case 2 where segments[0] == "instances": self = .instanceByID(segments[1])
        case 2 where segments[0] == "vips": self = .vip(segments[1])
        case 2 where segments[0] == "svips": self = .secureVip(segments[1])
        case 2 where segments == ["peerreplication", "batch"]: self = .batch
        case 2 where segments == ["serverinfo", "statusoverrides"]: self = .statusOverrides
        case 3 where segments[0] == "apps": self = .instance(.init(app: segments[1].uppercased(), id: segments[2]))
        case 4 where segments[0] == "apps" && segments[3] == "status":
            self = .status(.init(app: segments[1].uppercased(), id: segments[2]))
        case 4 where segments[0] == "apps" && segments[3] == "metadata":
            self = .metadata(.init(app: segments[1].uppercased(), id: segments[2]))
        default: return nil
        }
    }

    var methods: [HTTPRequest.Method] {
        switch self {
        case .application: [.get, .post]
        case .instance: [.get, .put, .delete]
        case .status: [.put, .delete]
        case .metadata: [.put]
        case .batch: [.post]
        default: [.get]
        }
    }
}

/// A request as the registry's routes see it.
struct RegistryRequest: Sendable {
    let incoming: IncomingRequest
    /// The parameters behind the question mark.
    let query: Query

    /// Nil where the parameters cannot be read.
    init?(_ incoming: IncomingRequest) {
        self.incoming = incoming
        guard let query = try? Query(of: incoming.target) else { return nil }
        self.query = query
    }

    /// XML unless JSON is asked for, as Eureka's first clients want it.
    var format: RegistryWriter.Format { incoming.headers[.accept]?.lowercased().contains("json") ?? false ? .json : .xml }
    var isCompact: Bool { incoming.headers[.eurekaAccept]?.lowercased() == "compact" }
    var isFromPeer: Bool { incoming.headers[.replication]?.lowercased() == "true" }

    var takesGzip: Bool {
        incoming.headers[.acceptEncoding]?.lowercased().split(separator: ",").contains { coding in
            let parts = coding.split(separator: ";").map { $0.filter { $0 != " " } }
            return parts.first == "gzip"
                && !parts.dropFirst().contains { $0.hasPrefix("q=0") && !$0.contains(where: { "123456789".contains($0) }) }
        } ?? false
    }

    var dirtyAt: Int64? { query["lastDirtyTimestamp"].flatMap { Int64($0) } }
}

extension HTTPField.Name {
    static let eurekaAccept = HTTPField.Name("X-Eureka-Accept")!
    static let replication = HTTPField.Name("x-netflix-discovery-replication")!
    static let registryID = HTTPField.Name("X-Registry-Id")!
    static let lastEventID = HTTPField.Name("Last-Event-ID")!
}

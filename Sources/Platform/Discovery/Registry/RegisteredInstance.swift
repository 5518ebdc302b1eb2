/// What a registry knows of one running copy of a service, in the words of Eureka's protocol.
package struct RegisteredInstance: Hashable, Sendable {
    package enum Status: String, Sendable, CaseIterable {
        case up = "UP"
        case down = "DOWN"
        case starting = "STARTING"
        case outOfService = "OUT_OF_SERVICE"
        case unknown = "UNKNOWN"
    }

    /// What became of it, in a list of changes.
    package enum Action: String, Sendable {
        case added = "ADDED"
        case modified = "MODIFIED"
        case deleted = "DELETED"
    }

    package struct Port: Hashable, Sendable {
        package var number: Int
        package var isEnabled: Bool

        package init(_ number: Int, isEnabled: Bool) {
            self.number = number
            self.isEnabled = isEnabled
        }
    }

    package struct DataCenter: Hashable, Sendable {
        /// A Java class, which Eureka's own clients ask for.
        package var className = "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo"
        package var name = "MyOwn"
        package var metadata: [String: String] = [:]

        package init() {}
    }

    /// All instants in milliseconds since 1970; 0 for never.
    package struct Lease: Hashable, Sendable {
        package var renewalSeconds = 30
        package var durationSeconds = 90
        package var registeredAt: Int64 = 0
        package var lastRenewedAt: Int64 = 0
        package var evictedAt: Int64 = 0
        package var upSince: Int64 = 0

        package init() {}
    }

    /// Unique within its application.
    package var id: String
    package var hostName: String
    /// The name of the service, in upper case.
    package var app: String
    package var appGroup: String?
    package var ipAddress: String
    package var status: Status
    package var overriddenStatus = Status.unknown
    package var port: Port
    package var securePort = Port(443, isEnabled: false)
    package var countryID = 1
    package var dataCenter: DataCenter?
    package var lease = Lease()
    package var metadata: [String: String] = [:]
    package var homePageURL: String?
    package var statusPageURL: String?
    package var healthCheckURL: String?
    package var secureHealthCheckURL: String?
    /// Names under which it is looked up, separated by commas.
    package var vipAddress: String?
    package var secureVipAddress: String?
    package var isCoordinatingDiscoveryServer = false
    package var lastUpdatedAt: Int64 = 0
    /// When the instance itself last changed what it says of itself; who has the later one is right.
    package var lastDirtyAt: Int64 = 0
    package var action = Action.added
    package var asgName: String?

    package init(id: String, app: String, hostName: String, ipAddress: String, port: Int, status: Status) {
        self.id = id
        self.app = app
        self.hostName = hostName
        self.ipAddress = ipAddress
        self.status = status
        self.port = Port(port, isEnabled: true)
        dataCenter = DataCenter()
    }
}

/// The counts of all statuses, `DOWN_1_UP_2_`, by which clients see whether they have missed a change. Empty for an empty registry.
package enum RegistryHash {
    package static func of(_ statuses: some Sequence<RegisteredInstance.Status>) -> String {
        var counts: [String: Int] = [:]
        for status in statuses { counts[status.rawValue, default: 0] += 1 }
        return counts.sorted { $0.key < $1.key }.map { "\($0.key)_\($0.value)_" }.joined()
    }
}

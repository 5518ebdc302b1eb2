/// Reads what any client of Eureka sends: numbers as numbers or as text, one thing where a list may stand, either spelling of
/// the overridden status.
extension RegisteredInstance: Decodable {
    private enum Key: String, CodingKey {
        case instanceId, hostName, app, appGroupName, ipAddr, status, overriddenstatus, overriddenStatus, port, securePort, countryId
        case dataCenterInfo, leaseInfo, metadata, homePageUrl, statusPageUrl, healthCheckUrl, secureHealthCheckUrl, vipAddress
        case secureVipAddress, isCoordinatingDiscoveryServer, lastUpdatedTimestamp, lastDirtyTimestamp, actionType, asgName
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        func text(_ key: Key) throws -> String? { try container.decodeIfPresent(LooseText.self, forKey: key)?.text }
        func number(_ key: Key) throws -> Int64? { try text(key).flatMap { Int64($0) } }
        let hostName = try text(.hostName) ?? ""
        let dataCenter = try container.decodeIfPresent(DataCenter.self, forKey: .dataCenterInfo)
        // Early clients name their instance by its host, and those in Amazon's by its number there.
        let id = try text(.instanceId) ?? dataCenter?.metadata["instance-id"] ?? hostName
        self.init(
            id: id, app: try text(.app) ?? "", hostName: hostName, ipAddress: try text(.ipAddr) ?? "", port: 0,
            status: Status(try text(.status)) ?? .up)
        self.dataCenter = dataCenter
        appGroup = try text(.appGroupName)
        overriddenStatus = Status(try text(.overriddenstatus) ?? text(.overriddenStatus)) ?? .unknown
        port = try container.decodeIfPresent(Port.self, forKey: .port) ?? Port(0, isEnabled: false)
        securePort = try container.decodeIfPresent(Port.self, forKey: .securePort) ?? securePort
        countryID = Int(clamping: try number(.countryId) ?? 1)
        lease = try container.decodeIfPresent(Lease.self, forKey: .leaseInfo) ?? lease
        metadata = try container.decodeIfPresent(LooseMap.self, forKey: .metadata)?.values ?? [:]
        homePageURL = try text(.homePageUrl)
        statusPageURL = try text(.statusPageUrl)
        healthCheckURL = try text(.healthCheckUrl)
        secureHealthCheckURL = try text(.secureHealthCheckUrl)
        vipAddress = try text(.vipAddress)
        secureVipAddress = try text(.secureVipAddress)
        isCoordinatingDiscoveryServer = try text(.isCoordinatingDiscoveryServer) == "true"
        lastUpdatedAt = try number(.lastUpdatedTimestamp) ?? 0
        lastDirtyAt = try number(.lastDirtyTimestamp) ?? 0
        action = try text(.actionType).flatMap { Action(rawValue: $0) } ?? .added
        asgName = try text(.asgName)
    }
}

extension RegisteredInstance.Status {
    /// Nil for nothing; a word that is none of them is unknown.
    package init?(_ text: String?) {
        guard let text, !text.isEmpty else { return nil }
        self = Self(rawValue: text.uppercased()) ?? .unknown
    }
}

extension RegisteredInstance.Port: Decodable {
    private enum Key: String, CodingKey {
        case number = "$"
        case isEnabled = "@enabled"
    }

    package init(from decoder: any Decoder) throws {
        guard let container = try? decoder.container(keyedBy: Key.self) else {
            self.init(Int(try LooseText(from: decoder).text) ?? 0, isEnabled: true)
            return
        }
        let number = try container.decodeIfPresent(LooseText.self, forKey: .number).flatMap { Int($0.text) } ?? 0
        self.init(number, isEnabled: try container.decodeIfPresent(LooseText.self, forKey: .isEnabled)?.text != "false")
    }
}

extension RegisteredInstance.DataCenter: Decodable {
    private enum Key: String, CodingKey {
        case className = "@class"
        case name, metadata
    }

    package init(from decoder: any Decoder) throws {
        self.init()
        // An empty element of XML is an empty text.
        guard let container = try? decoder.container(keyedBy: Key.self) else {
            name = ""
            return
        }
        className = try container.decodeIfPresent(LooseText.self, forKey: .className)?.text ?? className
        name = try container.decodeIfPresent(LooseText.self, forKey: .name)?.text ?? ""
        metadata = try container.decodeIfPresent(LooseMap.self, forKey: .metadata)?.values ?? [:]
    }
}

extension RegisteredInstance.Lease: Decodable {
    private enum Key: String, CodingKey {
        case renewalIntervalInSecs, durationInSecs, registrationTimestamp, lastRenewalTimestamp, renewalTimestamp, evictionTimestamp
        case serviceUpTimestamp
    }

    package init(from decoder: any Decoder) throws {
        self.init()
        guard let container = try? decoder.container(keyedBy: Key.self) else { return }
        func number(_ key: Key) throws -> Int64? {
            try container.decodeIfPresent(LooseText.self, forKey: key).flatMap { Int64($0.text) }
        }
        if let seconds = try number(.renewalIntervalInSecs), seconds > 0 { renewalSeconds = Int(clamping: seconds) }
        if let seconds = try number(.durationInSecs), seconds > 0 { durationSeconds = Int(clamping: seconds) }
        registeredAt = try number(.registrationTimestamp) ?? 0
        lastRenewedAt = try number(.lastRenewalTimestamp) ?? number(.renewalTimestamp) ?? 0
        evictedAt = try number(.evictionTimestamp) ?? 0
        upSince = try number(.serviceUpTimestamp) ?? 0
    }
}

/// A text, or a number or a truth that is meant as one.
package struct LooseText: Decodable {
    package let text: String

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let text = try? container.decode(String.self) {
            self.text = text
        } else if let number = try? container.decode(Int64.self) {
            text = "\(number)"
        } else if let number = try? container.decode(Double.self) {
            text = "\(number)"
        } else {
            text = try container.decode(Bool.self) ? "true" : "false"
        }
    }
}

/// An instance has more metadata than can be meant.
package struct TooMuchMetadata: Error, CustomStringConvertible {
    /// Keys of one instance.
    static let most = 1_000

    package var description: String { "An instance has at most \(TooMuchMetadata.most) keys of metadata." }
}

/// Texts by name, without what Java says about its own class.
private struct LooseMap: Decodable {
    var values: [String: String] = [:]

    private struct Name: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    init(from decoder: any Decoder) throws {
        guard let container = try? decoder.container(keyedBy: Name.self) else { return }
        let keys = container.allKeys
        // Each of them is looked for among all.
        guard keys.count <= TooMuchMetadata.most else { throw TooMuchMetadata() }
        for key in keys where !key.stringValue.hasPrefix("@") {
            values[key.stringValue] = try container.decodeIfPresent(LooseText.self, forKey: key)?.text
        }
    }
}

/// One thing, or a list of them.
package struct OneOrMany<Value: Decodable>: Decodable {
    package let values: [Value]

    package init(from decoder: any Decoder) throws {
        if var list = try? decoder.unkeyedContainer() {
            var values: [Value] = []
            while !list.isAtEnd { values.append(try list.decode(Value.self)) }
            self.values = values
        } else {
            values = [try Value(from: decoder)]
        }
    }
}

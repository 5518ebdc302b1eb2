extension RegisteredInstance {
    /// Writes its members where an object was begun.
    /// - Parameter isCompact: only what a client needs to find it (`X-Eureka-Accept: compact`).
    package func write(to writer: inout RegistryWriter, isCompact: Bool = false) {
        writer.text("instanceId", id)
        writer.text("hostName", hostName)
        writer.text("app", app)
        writer.text("ipAddr", ipAddress)
        writer.text("status", status.rawValue)
        if !isCompact {
            // Eureka's two encoders spell it differently.
            writer.text(writer.format == .json ? "overriddenStatus" : "overriddenstatus", overriddenStatus.rawValue)
        }
        write(port, "port", to: &writer)
        write(securePort, "securePort", to: &writer)
        if !isCompact { writer.number("countryId", Int64(countryID)) }
        if let dataCenter {
            writer.object("dataCenterInfo", attributes: [("class", dataCenter.className)]) { writer in
                writer.text("name", dataCenter.name)
                if !dataCenter.metadata.isEmpty { write(dataCenter.metadata, to: &writer) }
            }
        }
        writer.text("vipAddress", vipAddress)
        writer.text("secureVipAddress", secureVipAddress)
        writer.text("actionType", action.rawValue)
        writer.text("asgName", asgName)
        writer.text("lastUpdatedTimestamp", "\(lastUpdatedAt)")
        guard !isCompact else { return }
        writer.object("leaseInfo") { writer in
            writer.number("renewalIntervalInSecs", Int64(lease.renewalSeconds))
            writer.number("durationInSecs", Int64(lease.durationSeconds))
            writer.number("registrationTimestamp", lease.registeredAt)
            writer.number("lastRenewalTimestamp", lease.lastRenewedAt)
            writer.number("evictionTimestamp", lease.evictedAt)
            writer.number("serviceUpTimestamp", lease.upSince)
        }
        write(metadata, to: &writer)
        writer.text("appGroupName", appGroup)
        writer.text("homePageUrl", homePageURL)
        writer.text("statusPageUrl", statusPageURL)
        writer.text("healthCheckUrl", healthCheckURL)
        writer.text("secureHealthCheckUrl", secureHealthCheckURL)
        writer.text("isCoordinatingDiscoveryServer", isCoordinatingDiscoveryServer ? "true" : "false")
        writer.text("lastDirtyTimestamp", "\(lastDirtyAt)")
    }

    /// As a document by itself.
    package func document(_ format: RegistryWriter.Format, isCompact: Bool = false) -> [UInt8] {
        RegistryWriter.document("instance", format) { write(to: &$0, isCompact: isCompact) }
    }

    private func write(_ port: Port, _ name: String, to writer: inout RegistryWriter) {
        writer.number(name, Int64(port.number), attributes: [("enabled", port.isEnabled ? "true" : "false")])
    }

    private func write(_ metadata: [String: String], to writer: inout RegistryWriter) {
        // What Java calls an empty map, without which its clients find none.
        let attributes = metadata.isEmpty ? [("class", "java.util.Collections$EmptyMap")] : []
        let isXML = writer.format == .xml
        writer.object("metadata", attributes: attributes) { writer in
            for (key, value) in metadata.sorted(by: { $0.key < $1.key }) { writer.text(isXML ? XMLName.escaped(key) : key, value) }
        }
    }
}

/// A list of applications with their instances, as a whole registry or its changes are told.
package struct RegistryListing: Sendable {
    /// Grows with every change; 1 where the server does not count.
    package var version: String
    /// Of the whole registry, also in a list of changes.
    package var hash: String
    package var instances: [RegisteredInstance]

    package init(version: String, hash: String, instances: [RegisteredInstance]) {
        self.version = version
        self.hash = hash
        self.instances = instances
    }

    package func document(_ format: RegistryWriter.Format, isCompact: Bool = false) -> [UInt8] {
        RegistryWriter.document("applications", format) { writer in
            writer.text("versions__delta", version)
            writer.text("apps__hashcode", hash)
            writer.list("application", RegistryListing.applications(of: instances)) { writer, application in
                RegistryListing.write(application, to: &writer, isCompact: isCompact)
            }
        }
    }

    /// One application as a document by itself.
    package static func document(
        of application: String, _ instances: [RegisteredInstance], _ format: RegistryWriter.Format, isCompact: Bool = false
    ) -> [UInt8] {
        RegistryWriter.document("application", format) { write((application, instances), to: &$0, isCompact: isCompact) }
    }

    private static func write(_ application: (String, [RegisteredInstance]), to writer: inout RegistryWriter, isCompact: Bool) {
        writer.text("name", application.0)
        writer.list("instance", application.1) { writer, instance in instance.write(to: &writer, isCompact: isCompact) }
    }

    private static func applications(of instances: [RegisteredInstance]) -> [(String, [RegisteredInstance])] {
        Dictionary(grouping: instances, by: \.app).sorted { $0.key < $1.key }.map { ($0.key, $0.value.sorted { $0.id < $1.id }) }
    }
}

extension RegistryListing: Decodable {
    private enum Key: String, CodingKey {
        case applications
        case version = "versions__delta"
        case hash = "apps__hashcode"
        case application, instance
    }

    private struct Application: Decodable {
        let instances: [RegisteredInstance]

        init(from decoder: any Decoder) throws {
            instances =
                try decoder.container(keyedBy: Key.self)
                .decodeIfPresent(OneOrMany<RegisteredInstance>.self, forKey: .instance)?.values ?? []
        }
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self).nestedContainer(keyedBy: Key.self, forKey: .applications)
        version = try container.decodeIfPresent(LooseText.self, forKey: .version)?.text ?? ""
        hash = try container.decodeIfPresent(LooseText.self, forKey: .hash)?.text ?? ""
        instances = try container.decodeIfPresent(OneOrMany<Application>.self, forKey: .application)?.values.flatMap(\.instances) ?? []
    }
}

/// An instance as it travels by itself: `{"instance": {...}}`.
package struct EnclosedInstance: Decodable {
    package let instance: RegisteredInstance
}

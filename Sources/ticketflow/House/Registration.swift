import Configuration
import Discovery
import Glibc
import Logging
import ServiceKit
import Values

extension HouseSettings {
    /// `registry.urls`: where registries are, in the order in which they are tried, such as `http://user:password@10.0.0.5:8761/eureka`.
    /// `registry.ipAddress`: where this process is reached; by default where it listens, or the machine's own address where it listens
    /// on all. `registry.hostName`: the machine's name by default. `registry.instanceId`: by default address, service and port.
    /// `registry.renewSeconds` and `registry.leaseSeconds`: how often it says that it is there, 30, and how long it is believed, 90.
    static func registry(_ configuration: ConfigReader, folder: DataFolder) throws -> RegistryClient.Settings? {
        guard let texts = configuration.stringArray(forKey: "registry.urls", isSecret: true), !texts.isEmpty else { return nil }
        let registries = try texts.enumerated().map { index, text in
            guard let address = RegistryAddress(text) else {
                throw Failure(
                    "TICKETFLOW_REGISTRY_URLS has no URL in place \(index + 1).",
                    next: "Say where registries are, such as http://HOST:8761/eureka.")
            }
            return address
        }
        var settings = RegistryClient.Settings(
            registries: registries, hostName: configuration.string(forKey: "registry.hostName") ?? Machine.name,
            machineAddress: Machine.address)
        settings.ipAddress = configuration.string(forKey: "registry.ipAddress")
        settings.instanceID = configuration.string(forKey: "registry.instanceId")
        let renewal = configuration.int(forKey: "registry.renewSeconds", default: 30)
        let lease = configuration.int(forKey: "registry.leaseSeconds", default: 90)
        guard renewal >= 1, lease > renewal, lease <= 3_600 else {
            throw Failure(
                "The settings registry.renewSeconds and registry.leaseSeconds cannot be \(renewal) and \(lease).",
                next: "Say at least 1, and more for the lease, such as 30 and 90.")
        }
        settings.renewal = .seconds(Int64(renewal))
        settings.lease = .seconds(Int64(lease))
        settings.file = "\(folder.path)/registry/instances.json"
        return settings
    }
}

extension RegistryClient {
    /// - Parameters:
    ///   - checks: those that are needed must be well before others are told of this process.
    ///   - network: is told where others run.
    convenience init(_ settings: Settings, whenReady checks: [Operations.Check], network: NetworkTransport?) {
        self.init(settings, logger: Logger(label: "registry")) {
            for check in checks where check.isNeeded { if await !check.passes() { return false } }
            return true
        } onChange: { known in
            network?.replace { known[$0.description.uppercased()] ?? [] }
        }
        remember()
    }

    /// Whether a registry answers, without which everything goes on; and whether others could hear of this process.
    var checks: [Operations.Check] {
        [
            Operations.Check("registry", isNeeded: false) {
                guard self.isConnected else { throw Problem.unavailable("No registry answers; the last known instances are used.") }
            },
            Operations.Check("registration") {
                guard self.hasIntroducedItself else { throw Problem.unavailable("This process is not registered yet.") }
            },
        ]
    }
}

/// What this machine is called.
private enum Machine {
    static var name: String {
        var bytes = [CChar](repeating: 0, count: 256)
        guard gethostname(&bytes, bytes.count - 1) == 0 else { return "localhost" }
        return String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The first of its addresses that others can know; the loopback's where it has none.
    static var address: String {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&first) == 0 else { return "127.0.0.1" }
        defer { freeifaddrs(first) }
        for interface in sequence(first: first, next: { $0?.pointee.ifa_next }) {
            guard let interface = interface?.pointee, let address = interface.ifa_addr, address.pointee.sa_family == sa_family_t(AF_INET),
                interface.ifa_flags & UInt32(IFF_LOOPBACK) == 0, interface.ifa_flags & UInt32(IFF_UP) != 0
            else { continue }
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let length = socklen_t(MemoryLayout<sockaddr_in>.size)
            if getnameinfo(address, length, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0 {
                return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            }
        }
        return "127.0.0.1"
    }
}

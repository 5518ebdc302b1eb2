package import Values

/// Where and how mail is handed over.
package struct SMTPSettings: Hashable, Sendable {
    package enum Security: String, Hashable, Sendable, CaseIterable {
        /// In the clear: only for a server on the same machine or network.
        case none
        /// In the clear until the server has agreed to TLS; if it does not, nothing is sent. Port 587.
        case startTLS
        /// TLS from the first byte. Port 465.
        case implicitTLS
    }

    /// A host name or an IP address (IPv6 without brackets). With TLS, the certificate must be for it.
    package var host: String
    package var port: Int
    package var security: Security
    package var userName: String?
    package var password: String?
    /// A PEM file of the authorities to trust, in place of the system's.
    package var caFile: String?
    /// How long connecting may take, with the TLS handshake.
    package var connectTimeout: TimeSpan
    /// How long one mail may take. Taking leave of a server that has stopped answering may take as long again, in whole
    /// seconds.
    package var timeout: TimeSpan

    package init(
        host: String, port: Int, security: Security, userName: String? = nil, password: String? = nil,
        caFile: String? = nil, connectTimeout: TimeSpan = .seconds(10), timeout: TimeSpan = .seconds(60)
    ) {
        self.host = host
        self.port = port
        self.security = security
        self.userName = userName
        self.password = password
        self.caFile = caFile
        self.connectTimeout = connectTimeout
        self.timeout = timeout
    }

    /// What curl connects to; nil for a host that is none.
    var url: String? {
        let isIPv6 = host.contains(":")
        guard !host.isEmpty, (1...65_535).contains(port),
            host.utf8.allSatisfy({ $0.isLetterOrDigit || ".-_:".utf8.contains($0) })
        else { return nil }
        return "\(security == .implicitTLS ? "smtps" : "smtp")://\(isIPv6 ? "[\(host)]" : host):\(port)"
    }
}

import FoundationEssentials
import HTTPTypes
import Values

/// Which Config Servers are asked, by whom, and for what.
package struct RemoteAddress: Hashable, Sendable {
    /// `http://host:8888`; the first that answers is believed.
    package let urls: [String]
    package let user: String?
    package let password: String?
    /// The applications whose settings are wanted; of settings that several have, the first's.
    package let applications: [String]
    /// The last one wins.
    package let profiles: [String]
    /// Nil for the server's default.
    package let label: String?

    package init(urls: [String], user: String?, password: String?, applications: [String], profiles: [String], label: String?) {
        self.urls = urls.map { url in
            var url = url
            while url.hasSuffix("/") { url.removeLast() }
            return url
        }
        self.user = user
        self.password = password
        self.applications = applications
        self.profiles = profiles
        self.label = label
    }

    func path(of application: String) -> String {
        // `(_)` is how the protocol writes a slash in a label.
        "/\(application)/\(profiles.joined(separator: ","))" + (label.map { "/" + $0.replacing("/", with: "(_)") } ?? "")
    }

    var authorization: String? {
        guard let user else { return nil }
        return "Basic " + Data("\(user):\(password ?? "")".utf8).base64EncodedString()
    }

    /// What is asked for, wherever and by whomever.
    var question: String { applications.map(path).joined(separator: " ") }
}

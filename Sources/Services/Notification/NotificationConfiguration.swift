import Configuration
import Discovery
import Mail
import ServiceKit
import Values

/// The settings of Notification. All may change while it runs.
struct NotificationConfiguration: Sendable {
    /// How mail leaves.
    enum Way: Hashable, Sendable {
        case smtp(SMTPSettings)
        /// Into this folder.
        case files(String)
    }

    /// `publicURL`: where the Border Gateway is reached from outside; links in mails begin with it. Default `http://127.0.0.1:8080`.
    let publicURL: String
    /// `mail.from`: the address that mails come from. Default `tickets@localhost`.
    /// `mail.fromName`: the name beside it. Default `TicketFlow`.
    let from: MailAddress
    /// `mail.lease.seconds`: after how long a mail is tried again whose sender died at it. Must be longer than sending one may
    /// take. 1 to 3,600, default 150.
    let lease: TimeSpan
    /// `mail.concurrency`: how many mails are made side by side. Low, because they can wait and purchases cannot. 1 to 32, default 2.
    let concurrency: Int
    /// `mail.perSecond`: how many mails go out at most, over time. So that what is sold is not slowed down by what is told, and for
    /// mail servers that allow no more. 1 to 1,000, default 50.
    let perSecond: Int
    /// By SMTP where `smtp.host` is set: `smtp.port` (default 587), `smtp.security` (`none`, `startTLS` or `implicitTLS`, default
    /// `startTLS`), `smtp.user`, `smtp.password` (a secret). Otherwise as files into `mail.directory` (default `./data/mail`).
    let way: Way

    /// Throws `Problem` for a setting that cannot be meant.
    init(_ reader: ConfigSnapshotReader) throws {
        var url = try reader.text("publicURL", default: "http://127.0.0.1:8080")
        while url.hasSuffix("/") { url.removeLast() }
        guard url.hasPrefix("http://") || url.hasPrefix("https://") else {
            throw Problem.badRequest("The setting publicURL must begin with http:// or https://.")
        }
        publicURL = url
        from = MailAddress(
            name: try reader.text("mail.fromName", default: "TicketFlow"), try reader.text("mail.from", default: "tickets@localhost"))
        guard from.isValid else { throw Problem.badRequest("The setting mail.from must be a mail address.") }
        lease = .seconds(Int64(try reader.number("mail.lease.seconds", default: 150, in: 1...3_600)))
        concurrency = try reader.number("mail.concurrency", default: 2, in: 1...32)
        perSecond = try reader.number("mail.perSecond", default: 50, in: 1...1_000)
        let directory = try reader.text("mail.directory", default: "./data/mail")
        let host = try reader.text("smtp.host", default: "")
        let settings = try NotificationConfiguration.settings(of: host, reader)
        way = host.isEmpty ? .files(directory) : .smtp(settings)
    }

    private static func settings(of host: String, _ reader: ConfigSnapshotReader) throws -> SMTPSettings {
        let port = try reader.number("smtp.port", default: 587, in: 1...65_535)
        guard let security = SMTPSettings.Security(rawValue: try reader.text("smtp.security", default: "startTLS")) else {
            throw Problem.badRequest("The setting smtp.security must be none, startTLS or implicitTLS.")
        }
        return SMTPSettings(
            host: host, port: port, security: security, userName: reader.string(forKey: "smtp.user"),
            password: reader.string(forKey: "smtp.password", isSecret: true))
    }
}

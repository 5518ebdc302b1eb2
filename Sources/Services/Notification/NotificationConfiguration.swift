import Configuration
import Discovery
import Mail
import Values

/// The settings of Notification. None changes while it runs.
struct NotificationConfiguration: Sendable {
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
    let mailer: any Mailer

    /// Throws `Problem` for a setting that cannot be meant.
    init(_ reader: ConfigReader) throws {
        var url = reader.string(forKey: "publicURL", default: "http://127.0.0.1:8080")
        while url.hasSuffix("/") { url.removeLast() }
        guard url.hasPrefix("http://") || url.hasPrefix("https://") else {
            throw Problem.badRequest("The setting publicURL must begin with http:// or https://.")
        }
        publicURL = url
        from = MailAddress(
            name: reader.string(forKey: "mail.fromName", default: "TicketFlow"),
            reader.string(forKey: "mail.from", default: "tickets@localhost"))
        guard from.isValid else { throw Problem.badRequest("The setting mail.from must be a mail address.") }
        lease = .seconds(Int64(min(max(reader.int(forKey: "mail.lease.seconds", default: 150), 1), 3_600)))
        concurrency = min(max(reader.int(forKey: "mail.concurrency", default: 2), 1), 32)
        perSecond = min(max(reader.int(forKey: "mail.perSecond", default: 50), 1), 1_000)
        if let host = reader.string(forKey: "smtp.host"), !host.isEmpty {
            mailer = SMTPMailer(try NotificationConfiguration.settings(of: host, reader))
        } else {
            mailer = FileMailer(directory: reader.string(forKey: "mail.directory", default: "./data/mail"))
        }
    }

    private static func settings(of host: String, _ reader: ConfigReader) throws -> SMTPSettings {
        let port = reader.int(forKey: "smtp.port", default: 587)
        guard (1...65_535).contains(port) else { throw Problem.badRequest("The setting smtp.port must be from 1 to 65535.") }
        guard let security = SMTPSettings.Security(rawValue: reader.string(forKey: "smtp.security", default: "startTLS")) else {
            throw Problem.badRequest("The setting smtp.security must be none, startTLS or implicitTLS.")
        }
        return SMTPSettings(
            host: host, port: port, security: security, userName: reader.string(forKey: "smtp.user"),
            password: reader.string(forKey: "smtp.password", isSecret: true))
    }
}

/// What sends mail.
package protocol Mailer: Sendable {
    /// Returns when the mail is handed over for good: accepted by the server, or in its file.
    func send(_ message: MailMessage) async throws(MailError)
}

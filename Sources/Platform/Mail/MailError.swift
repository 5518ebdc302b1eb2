/// Why a mail was not sent.
package enum MailError: Error, Hashable, Sendable {
    /// The server refuses this mail for good (5xx, RFC 5321, 4.2.1): sending it again gives the same answer.
    case refused(code: Int, message: String)

    /// Not now: the server said so (4xx), or could not be reached, or was too slow, or the connection was lost, or it
    /// does not accept how this program presents itself (TLS, user name and password), which is the operator's to mend
    /// and no fault of the mail. Send it again later.
    ///
    /// The mail may have arrived all the same when the connection was lost at its very end.
    /// - `code`: the server's reply code, or nil when it did not come to one.
    case temporary(code: Int?, message: String)

    /// The message or the settings hold something that cannot be sent. `field` names it, such as `subject`.
    case invalid(field: String)
}

extension MailError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .refused(let code, let message): "the mail server refused the mail: \(code) \(message)"
        case .temporary(let code?, let message): "the mail server does not take the mail now: \(code) \(message)"
        case .temporary(nil, let message): "the mail could not be sent now: \(message)"
        case .invalid(let field): "the mail cannot be sent: \(field) is not valid"
        }
    }
}

internal import CCurl
internal import NIOCore
internal import NIOPosix
internal import Values

/// Hands mail to a server by SMTP (RFC 5321).
///
/// One mail at a time, on a thread of its own, over a connection that stays open for the next one.
package actor SMTPMailer: Mailer {
    private nonisolated let group: MultiThreadedEventLoopGroup
    private nonisolated let loop: any EventLoop
    private let settings: SMTPSettings
    private let curl = CurlHandle()

    package nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.executor.asUnownedSerialExecutor() }

    package init(_ settings: SMTPSettings) {
        self.settings = settings
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        loop = group.next()
    }

    /// On its own thread: closing the connection says farewell to the server, and may wait for its answer.
    isolated deinit {
        group.shutdownGracefully { _ in }
    }

    package func send(_ message: MailMessage) async throws(MailError) {
        guard let url = settings.url else { throw .invalid(field: "settings.host") }
        let exchange = SMTPExchange(try message.rendered())
        curl.reset()
        curl.set(CURLOPT_URL, url)
        setSecurity()
        setLimits()
        curl.set(CURLOPT_MAIL_FROM, message.from.address)
        curl.set(CURLOPT_UPLOAD, 1)
        // Declared with MAIL FROM, so that a server with a smaller limit says so before it has been sent.
        curl.setOffset(CURLOPT_INFILESIZE_LARGE, exchange.size)
        let outcome = curl.perform(exchange, recipient: message.to.address)
        guard outcome != CURLE_OK else { return }
        curl.dropConnection()
        throw error(outcome, exchange)
    }

    private func setSecurity() {
        curl.set(CURLOPT_PROTOCOLS_STR, "smtp,smtps")
        // What the environment says of proxies is not about mail.
        curl.set(CURLOPT_PROXY, "")
        if settings.security != .none { curl.set(CURLOPT_USE_SSL, Int(CURLUSESSL_ALL.rawValue)) }
        curl.set(CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2)
        curl.set(CURLOPT_SSL_VERIFYPEER, 1)
        curl.set(CURLOPT_SSL_VERIFYHOST, 2)
        if let caFile = settings.caFile { curl.set(CURLOPT_CAINFO, caFile) }
        if let userName = settings.userName { curl.set(CURLOPT_USERNAME, userName) }
        if let password = settings.password { curl.set(CURLOPT_PASSWORD, password) }
    }

    private func setLimits() {
        func milliseconds(_ span: TimeSpan) -> Int { max(1, Int(span.microseconds / 1_000)) }
        curl.set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(settings.connectTimeout))
        curl.set(CURLOPT_TIMEOUT_MS, milliseconds(settings.timeout))
        // The whole limit does not count curl's farewell after a failure, which a server that no longer answers would
        // stretch by the 120 seconds that curl otherwise waits for a single answer.
        curl.set(CURLOPT_SERVER_RESPONSE_TIMEOUT, max(1, Int(settings.timeout.seconds.rounded(.up))))
        // Servers drop idle clients after some minutes; a connection that may be gone is not tried.
        curl.set(CURLOPT_MAXAGE_CONN, 30)
    }

    /// Only what the server says of this mail is final: its answer to MAIL FROM, RCPT TO and DATA (curl's send error with
    /// a reply code) or to the mail itself. A 5xx at the greeting or the login is about this program, and no reason to
    /// give up a mail; so are the replies 530, 534, 535 and 538, which ask for a login (RFC 4954, 6).
    private func error(_ outcome: CURLcode, _ exchange: SMTPExchange) -> MailError {
        let explanation = curl.explanation(of: outcome)
        guard let code = curl.replyCode, code >= 400 else { return .temporary(code: nil, message: explanation) }
        let isAboutMail = outcome == CURLE_SEND_ERROR || exchange.hasBegunMail
        if (500..<600).contains(code), isAboutMail, ![530, 534, 535, 538].contains(code) {
            return .refused(code: code, message: exchange.reply)
        }
        return .temporary(code: code, message: exchange.reply.isEmpty ? explanation : exchange.reply)
    }
}

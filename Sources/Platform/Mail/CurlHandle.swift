internal import CCurl
internal import Glibc

/// Owner of a curl easy handle, and with it of the connections that it keeps open.
@safe
struct CurlHandle: ~Copyable {
    /// `curl_global_init` is not safe to call twice at the same time; a `static let` runs once.
    private static let isLibraryReady = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

    private let handle: UnsafeMutableRawPointer
    private let errorText: UnsafeMutablePointer<CChar>

    /// Traps when there is no memory for it: this happens at start or not at all.
    init() {
        precondition(CurlHandle.isLibraryReady, "libcurl could not start")
        guard let handle = unsafe curl_easy_init() else { preconditionFailure("libcurl gave no handle") }
        unsafe self.handle = unsafe handle
        unsafe errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
    }

    deinit {
        // Cleaning up talks to servers, and must not find the exchange of the last mail, which is gone.
        unsafe curl_easy_reset(handle)
        unsafe curl_easy_cleanup(handle)
        unsafe errorText.deallocate()
    }

    /// All options back to their defaults; connections stay open.
    func reset() {
        unsafe curl_easy_reset(handle)
        unsafe errorText.pointee = 0
        unsafe check(curl_set_pointer(handle, CURLOPT_ERRORBUFFER, errorText))
        // Without it, curl times name look-ups with SIGALRM, for the whole process.
        set(CURLOPT_NOSIGNAL, 1)
    }

    func set(_ option: CURLoption, _ value: Int) {
        unsafe check(curl_set_long(handle, option, value))
    }

    /// curl keeps a copy.
    func set(_ option: CURLoption, _ value: String) {
        unsafe check(curl_set_string(handle, option, value))
    }

    func setOffset(_ option: CURLoption, _ value: Int) {
        unsafe check(curl_set_offset(handle, option, curl_off_t(value)))
    }

    /// Sends what `exchange` holds to one recipient and collects the server's replies in it.
    func perform(_ exchange: SMTPExchange, recipient: String) -> CURLcode {
        let recipients = unsafe curl_slist_append(nil, recipient)
        defer { unsafe curl_slist_free_all(recipients) }
        guard unsafe recipients != nil else { return CURLE_OUT_OF_MEMORY }
        unsafe check(curl_set_pointer(handle, CURLOPT_MAIL_RCPT, recipients))
        let context = unsafe Unmanaged.passUnretained(exchange).toOpaque()
        unsafe check(curl_set_pointer(handle, CURLOPT_READDATA, context))
        unsafe check(curl_set_pointer(handle, CURLOPT_HEADERDATA, context))
        unsafe check(
            curl_set_callback(handle, CURLOPT_READFUNCTION) { buffer, size, count, context in
                unsafe CurlHandle.exchange(context).read(
                    into: UnsafeMutableRawBufferPointer(start: buffer, count: size * count))
            })
        unsafe check(
            curl_set_callback(handle, CURLOPT_HEADERFUNCTION) { buffer, size, count, context in
                unsafe CurlHandle.exchange(context).receive(UnsafeRawBufferPointer(start: buffer, count: size * count))
                return size * count
            })
        return withExtendedLifetime(exchange) { unsafe curl_easy_perform(handle) }
    }

    /// Ends the connection that was used last, if curl has kept it.
    ///
    /// After a time limit curl does keep it, with a reply still to come: the next mail would take that for its own. Nor may
    /// curl say farewell there, for which it would wait two minutes.
    func dropConnection() {
        var socket: curl_socket_t = -1
        unsafe curl_get_socket(handle, CURLINFO_ACTIVESOCKET, &socket)
        if socket >= 0 { shutdown(socket, Int32(SHUT_RDWR)) }
    }

    /// The last reply code; nil before the first.
    var replyCode: Int? {
        var code = 0
        unsafe curl_get_long(handle, CURLINFO_RESPONSE_CODE, &code)
        return code == 0 ? nil : code
    }

    /// curl's words for the failure. The details of a time limit would be those of the last of several.
    func explanation(of code: CURLcode) -> String {
        let detail = code == CURLE_OPERATION_TIMEDOUT ? "" : unsafe String(cString: errorText)
        return detail.isEmpty ? unsafe String(cString: curl_easy_strerror(code)) : detail
    }

    private static func exchange(_ context: UnsafeMutableRawPointer?) -> SMTPExchange {
        unsafe Unmanaged<SMTPExchange>.fromOpaque(context!).takeUnretainedValue()
    }

    /// Setting an option fails only when this libcurl was built without it, or without memory. Going on would send mail
    /// with weaker security than asked for.
    private func check(_ code: CURLcode) {
        precondition(code == CURLE_OK, "libcurl refused an option: \(code.rawValue)")
    }
}

internal import CRabbitMQ
internal import Glibc
import Values

/// A connection to RabbitMQ with one channel.
///
/// Its functions block. One thread uses it: that which made it.
@safe final class AMQPConnection {
    /// How long each step of connecting may take, in seconds.
    private static let connectLimit = 5
    /// How long the server may take to answer a question, in seconds.
    private static let answerLimit = 10
    private static let channel: amqp_channel_t = 1
    private static let consumerTag = "ticketflow"

    private let handle: amqp_connection_state_t
    private let socket: CInt
    private let heartbeat: TimeSpan
    private let pool = AMQPPool()

    /// Connects, logs in and opens the channel.
    /// - Parameters:
    ///   - caFile: a PEM file of the authorities that a server's certificate may come from.
    ///   - heartbeat: a server that is silent for twice as long is gone; whole seconds. The library sends and looks for heartbeats
    ///     only within its own calls.
    init(_ address: RabbitMQAddress, caFile: String, heartbeat: TimeSpan) throws {
        guard let handle = unsafe amqp_new_connection() else { throw RabbitMQError.unreachable(address: "\(address)", reason: "no memory") }
        do {
            unsafe try AMQPConnection.open(handle, address, caFile: caFile)
            let reply = unsafe AMQPConnection.login(handle, address, heartbeat, pool)
            switch unsafe AMQPConnection.error(reply) {
            case nil: break
            case .closed(let code, let reason) where [AMQP_ACCESS_REFUSED, AMQP_NOT_ALLOWED].contains(CInt(code)):
                throw RabbitMQError.denied(address: "\(address)", reason: reason)
            case let error?: throw RabbitMQError.unreachable(address: "\(address)", reason: error.reason)
            }
            _ = unsafe amqp_channel_open(handle, AMQPConnection.channel)
            if let error = unsafe AMQPConnection.error(amqp_get_rpc_reply(handle)) { throw error }
        } catch {
            unsafe amqp_destroy_connection(handle)
            throw error
        }
        unsafe self.handle = handle
        self.heartbeat = heartbeat
        socket = unsafe amqp_get_sockfd(handle)
    }

    /// Without a farewell, as if the process had ended: see `close()`.
    deinit {
        unsafe amqp_destroy_connection(handle)
    }

    private static func open(_ handle: amqp_connection_state_t, _ address: RabbitMQAddress, caFile: String) throws {
        func check(_ status: CInt) throws {
            guard status != AMQP_STATUS_OK.rawValue else { return }
            throw RabbitMQError.unreachable(address: "\(address)", reason: AMQPConnection.explanation(status))
        }
        let socket = address.isEncrypted ? unsafe amqp_ssl_socket_new(handle) : unsafe amqp_tcp_socket_new(handle)
        guard let socket = unsafe socket else { throw RabbitMQError.unreachable(address: "\(address)", reason: "no memory") }
        if address.isEncrypted {
            unsafe amqp_ssl_socket_set_verify_peer(socket, 1)
            unsafe amqp_ssl_socket_set_verify_hostname(socket, 1)
            unsafe try check(amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST))
            unsafe try check(amqp_ssl_socket_set_cacert(socket, caFile))
        }
        var limit = timeval(tv_sec: connectLimit, tv_usec: 0)
        unsafe try check(amqp_set_handshake_timeout(handle, &limit))
        unsafe try check(amqp_socket_open_noblock(socket, address.host, CInt(address.port), &limit))
        limit.tv_sec = answerLimit
        unsafe try check(amqp_set_rpc_timeout(handle, &limit))
        // What the other side does not take in for so long ends the connection: a server that stops reading must not hold up
        // a send without end, and SO_SNDTIMEO says nothing to a socket that the library has made nonblocking.
        var milliseconds: UInt32 = 20_000
        unsafe setsockopt(
            amqp_get_sockfd(handle), CInt(IPPROTO_TCP), TCP_USER_TIMEOUT, &milliseconds, socklen_t(MemoryLayout<UInt32>.size))
    }

    private static func login(
        _ handle: amqp_connection_state_t, _ address: RabbitMQAddress, _ heartbeat: TimeSpan, _ pool: borrowing AMQPPool
    ) -> amqp_rpc_reply_t {
        var properties = unsafe pool.table([
            "product": .text("TicketFlow"),
            "capabilities": .table([
                "authentication_failure_close": .boolean(true), "basic.nack": .boolean(true),
                "connection.blocked": .boolean(true), "consumer_cancel_notify": .boolean(true), "publisher_confirms": .boolean(true),
            ]),
        ])
        defer { pool.recycle() }
        return unsafe amqp_login_plain(
            handle, address.virtualHost, AMQP_DEFAULT_MAX_CHANNELS, AMQP_DEFAULT_FRAME_SIZE, CInt(heartbeat.seconds),
            &properties, address.user, address.password)
    }

    /// Says farewell, so that the server gives messages in hand to others at once.
    func close() {
        unsafe amqp_channel_close(handle, AMQPConnection.channel, AMQP_REPLY_SUCCESS)
        unsafe amqp_connection_close(handle, AMQP_REPLY_SUCCESS)
    }
}

/// What there is on the server.
extension AMQPConnection {
    func declareExchange(_ name: String) throws {
        defer { pool.recycle() }
        _ = unsafe amqp_exchange_declare(
            handle, AMQPConnection.channel, pool.bytes(name), pool.bytes("topic"), 0, 1, 0, 0, pool.table([:]))
        try checkReply()
    }

    func declareQueue(_ name: String, _ arguments: [String: AMQPValue]) throws {
        defer { pool.recycle() }
        _ = unsafe amqp_queue_declare(handle, AMQPConnection.channel, pool.bytes(name), 0, 1, 0, 0, pool.table(arguments))
        try checkReply()
    }

    func bind(_ queue: String, to exchange: String, _ pattern: String) throws {
        defer { pool.recycle() }
        _ = unsafe amqp_queue_bind(
            handle, AMQPConnection.channel, pool.bytes(queue), pool.bytes(exchange), pool.bytes(pattern), pool.table([:]))
        try checkReply()
    }

    /// How many messages of a queue nobody has in hand.
    func count(in queue: String) throws -> Int {
        defer { pool.recycle() }
        let answer = unsafe amqp_queue_declare(handle, AMQPConnection.channel, pool.bytes(queue), 1, 0, 0, 0, pool.table([:]))
        try checkReply()
        return unsafe Int(answer?.pointee.message_count ?? 0)
    }

    private func checkReply() throws {
        if let error = unsafe AMQPConnection.error(amqp_get_rpc_reply(handle)) { throw error }
    }
}

/// Messages.
extension AMQPConnection {
    /// Lets the server confirm what is published from now on; the first message has the number 1.
    func selectConfirms() throws {
        _ = unsafe amqp_confirm_select(handle, AMQPConnection.channel)
        try checkReply()
    }

    /// - Parameter isMandatory: whether the server returns what no queue wants.
    func publish(_ letter: RabbitMQLetter, to exchange: String, key: String, isMandatory: Bool) throws {
        defer { pool.recycle() }
        let told = letter.properties
        var properties = unsafe amqp_basic_properties_t()
        var flags =
            AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_TYPE_FLAG
            | AMQP_BASIC_TIMESTAMP_FLAG | AMQP_BASIC_HEADERS_FLAG
        unsafe properties.content_type = pool.bytes(told.contentType)
        unsafe properties.delivery_mode = UInt8(AMQP_DELIVERY_PERSISTENT.rawValue)
        unsafe properties.message_id = pool.bytes("\(letter.id)")
        unsafe properties.type = pool.bytes(letter.name)
        unsafe properties.timestamp = UInt64(clamping: letter.published.seconds)
        unsafe properties.headers = pool.table(told.headers)
        if let correlationID = told.correlationID {
            flags |= AMQP_BASIC_CORRELATION_ID_FLAG
            unsafe properties.correlation_id = pool.bytes(correlationID)
        }
        unsafe properties._flags = amqp_flags_t(flags)
        try check(
            unsafe amqp_basic_publish(
                handle, AMQPConnection.channel, pool.bytes(exchange), pool.bytes(key), isMandatory ? 1 : 0, 0, &properties,
                pool.bytes(letter.body)))
    }

    /// - Parameter prefetch: how many letters may be in hand.
    func consume(_ queue: String, prefetch: Int) throws {
        defer { pool.recycle() }
        _ = unsafe amqp_basic_qos(handle, AMQPConnection.channel, 0, UInt16(clamping: prefetch), 0)
        try checkReply()
        _ = unsafe amqp_basic_consume(
            handle, AMQPConnection.channel, pool.bytes(queue), pool.bytes(AMQPConnection.consumerTag), 0, 0, 0, pool.table([:]))
        try checkReply()
    }

    /// Lets nothing new come.
    func cancelConsumer() throws {
        defer { pool.recycle() }
        _ = unsafe amqp_basic_cancel(handle, AMQPConnection.channel, pool.bytes(AMQPConnection.consumerTag))
        try checkReply()
    }

    func acknowledge(_ tag: UInt64, andAllBefore: Bool = false) throws {
        try check(unsafe amqp_basic_ack(handle, AMQPConnection.channel, tag, andAllBefore ? 1 : 0))
    }

    /// Makes it a dead letter.
    func reject(_ tag: UInt64) throws {
        try check(unsafe amqp_basic_reject(handle, AMQPConnection.channel, tag, 0))
    }

    /// Gives back all messages in hand. Of a channel that closes the server takes them back too, but some time later.
    func release() throws {
        try check(unsafe amqp_basic_nack(handle, AMQPConnection.channel, 0, 1, 1))
    }

    /// The next message of a queue, in hand until it is acknowledged or the connection closes. Nil if there is none.
    func take(from queue: String) throws -> AMQPDelivery? {
        defer { pool.recycle() }
        releaseBuffers()
        let reply = unsafe amqp_basic_get(handle, AMQPConnection.channel, pool.bytes(queue), 0)
        if let error = unsafe AMQPConnection.error(reply) { throw error }
        guard unsafe reply.reply.id == AMQP_BASIC_GET_OK_METHOD else { return nil }
        let tag = unsafe reply.reply.decoded.assumingMemoryBound(to: amqp_basic_get_ok_t.self).pointee.delivery_tag
        return AMQPDelivery(tag: tag, letter: try readLetter())
    }
}

/// A message in hand.
struct AMQPDelivery: Sendable {
    let tag: UInt64
    /// Nil for one that this program did not send.
    let letter: RabbitMQLetter?
}

/// What the server says by itself.
enum AMQPEvent: Sendable {
    case delivered(AMQPDelivery)
    /// The number of a message, or of the last of several.
    case confirmed(UInt64, isMultiple: Bool)
    case refused(UInt64, isMultiple: Bool)
    /// No queue wanted it. Its confirmation follows.
    case returned(messageID: String, key: String)
    case consumerCanceled
    case blocked(reason: String)
    case unblocked
}

extension AMQPConnection {
    /// Nil if nothing is there now.
    func nextEvent() throws -> AMQPEvent? {
        while true {
            releaseBuffers()
            var frame = unsafe amqp_frame_t()
            var none = timeval()
            let status = unsafe amqp_simple_wait_frame_noblock(handle, &frame, &none)
            if status == AMQP_STATUS_TIMEOUT.rawValue { return nil }
            try check(status)
            guard unsafe frame.frame_type == UInt8(AMQP_FRAME_METHOD) else { continue }
            if let event = try unsafe event(frame.payload.method) { return event }
        }
    }

    /// Nil for what is of no interest.
    private func event(_ method: amqp_method_t) throws -> AMQPEvent? {
        func decoded<T>(_ type: T.Type) -> T { unsafe method.decoded.assumingMemoryBound(to: type).pointee }
        switch unsafe method.id {
        case AMQP_BASIC_DELIVER_METHOD:
            let tag = unsafe decoded(amqp_basic_deliver_t.self).delivery_tag
            return .delivered(AMQPDelivery(tag: tag, letter: try readLetter()))
        case AMQP_BASIC_ACK_METHOD:
            let ack = decoded(amqp_basic_ack_t.self)
            return .confirmed(ack.delivery_tag, isMultiple: ack.multiple != 0)
        case AMQP_BASIC_NACK_METHOD:
            let nack = decoded(amqp_basic_nack_t.self)
            return .refused(nack.delivery_tag, isMultiple: nack.multiple != 0)
        case AMQP_BASIC_RETURN_METHOD:
            let key = unsafe String(decoded(amqp_basic_return_t.self).routing_key)
            return .returned(messageID: unsafe try readMessage { unsafe String($0.properties.message_id) }, key: key)
        case AMQP_BASIC_CANCEL_METHOD: return .consumerCanceled
        case AMQP_CONNECTION_BLOCKED_METHOD: return .blocked(reason: unsafe String(decoded(amqp_connection_blocked_t.self).reason))
        case AMQP_CONNECTION_UNBLOCKED_METHOD: return .unblocked
        case AMQP_CONNECTION_CLOSE_METHOD, AMQP_CHANNEL_CLOSE_METHOD: throw unsafe AMQPConnection.closed(method)
        default: return nil
        }
    }

    private func readLetter() throws -> RabbitMQLetter? {
        unsafe try readMessage { message in
            let properties = unsafe message.properties
            return unsafe RabbitMQLetter(
                messageID: String(properties.message_id), type: String(properties.type), body: String(message.body),
                timestamp: properties.timestamp, headers: Dictionary(properties.headers))
        }
    }

    private func readMessage<Result>(_ body: (amqp_message_t) -> Result) throws -> Result {
        var message = unsafe amqp_message_t()
        if let error = unsafe AMQPConnection.error(amqp_read_message(handle, AMQPConnection.channel, &message, 0)) { throw error }
        defer { unsafe amqp_destroy_message(&message) }
        return unsafe body(message)
    }

    /// Gives back the memory of frames that were looked at.
    private func releaseBuffers() {
        unsafe amqp_maybe_release_buffers_on_channel(handle, 0)
        unsafe amqp_maybe_release_buffers_on_channel(handle, AMQPConnection.channel)
    }

    /// Returns when there is something to read, when `bell` was rung, when the time is over, and, if that is of interest, when the
    /// server would take something in.
    func wait(for bell: WakePipe, orToWrite: Bool, atMost limit: Duration) {
        var places = [
            pollfd(fd: socket, events: Int16(POLLIN) | (orToWrite ? Int16(POLLOUT) : 0), revents: 0),
            pollfd(fd: bell.readEnd, events: Int16(POLLIN), revents: 0),
        ]
        // Often enough for the library to look after its heartbeats.
        _ = unsafe poll(&places, 2, min(limit, heartbeat.duration / 4).pollMilliseconds)
        bell.drain()
    }

    /// Whether there is room for a message of the usual size: the system says so while a third of its buffer is free.
    var isWritable: Bool {
        var place = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
        return unsafe poll(&place, 1, 0) == 1
    }
}

/// Errors.
extension AMQPConnection {
    private func check(_ status: CInt) throws {
        guard status == AMQP_STATUS_OK.rawValue else {
            throw RabbitMQError.connectionLost(reason: AMQPConnection.explanation(status))
        }
    }

    private static func error(_ reply: amqp_rpc_reply_t) -> RabbitMQError? {
        switch unsafe reply.reply_type {
        case AMQP_RESPONSE_NORMAL: nil
        case AMQP_RESPONSE_SERVER_EXCEPTION: unsafe closed(reply.reply)
        case AMQP_RESPONSE_LIBRARY_EXCEPTION: .connectionLost(reason: explanation(unsafe reply.library_error))
        default: .connectionLost(reason: "the server has hung up")
        }
    }

    private static func closed(_ method: amqp_method_t) -> RabbitMQError {
        switch unsafe method.id {
        case AMQP_CONNECTION_CLOSE_METHOD:
            let close = unsafe method.decoded.assumingMemoryBound(to: amqp_connection_close_t.self).pointee
            return unsafe .closed(code: Int(close.reply_code), reason: String(close.reply_text))
        case AMQP_CHANNEL_CLOSE_METHOD:
            let close = unsafe method.decoded.assumingMemoryBound(to: amqp_channel_close_t.self).pointee
            return unsafe .closed(code: Int(close.reply_code), reason: String(close.reply_text))
        default: return .connectionLost(reason: "the server has said something unexpected")
        }
    }

    private static func explanation(_ status: CInt) -> String {
        guard let text = unsafe amqp_error_string2(status) else { return "error \(status)" }
        return unsafe String(cString: text)
    }
}

extension RabbitMQError {
    /// What the library or the server said.
    fileprivate var reason: String {
        switch self {
        case .connectionLost(let reason): reason
        case .closed(let code, let reason): "\(code) \(reason)"
        default: description
        }
    }
}

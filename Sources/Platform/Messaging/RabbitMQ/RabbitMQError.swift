/// What can go wrong between this process and RabbitMQ.
package enum RabbitMQError: Error, Hashable, Sendable {
    /// No connection could be made to `address`.
    case unreachable(address: String, reason: String)
    /// The server does not let this user in, or not into this virtual host.
    case denied(address: String, reason: String)
    /// There was a connection, and now there is none. What was sent and not confirmed may have arrived.
    case connectionLost(reason: String)
    /// The server closed the connection or its channel, and said why (`code` is AMQP's).
    case closed(code: Int, reason: String)
    /// The server takes no messages at the moment, for want of memory or disk.
    case blocked(reason: String)
    /// The server has not confirmed in time. The messages may have arrived.
    case late
    /// No queue wants the event, though some were declared that do.
    case unroutable(event: String)
    /// The server could not store the event.
    case refused(event: String)
    /// The server has ended a consumer, as it does when its queue is removed.
    case consumerCanceled
    /// The broker was closed.
    case stopped
}

extension RabbitMQError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .unreachable(let address, let reason): "RabbitMQ at \(address) cannot be reached: \(reason)"
        case .denied(let address, let reason): "RabbitMQ at \(address) refuses the login: \(reason)"
        case .connectionLost(let reason): "the connection to RabbitMQ was lost: \(reason)"
        case .closed(let code, let reason): "RabbitMQ closed the connection: \(code) \(reason)"
        case .blocked(let reason): "RabbitMQ takes no messages at the moment: \(reason)"
        case .late: "RabbitMQ has not confirmed in time"
        case .unroutable(let event): "no queue of RabbitMQ wants \(event), though one was declared"
        case .refused(let event): "RabbitMQ could not store \(event)"
        case .consumerCanceled: "RabbitMQ has ended the consumer; its queue was removed or is not available"
        case .stopped: "the broker was closed"
        }
    }
}

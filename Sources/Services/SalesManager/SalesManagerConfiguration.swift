import Configuration
import ServiceKit
import Values

/// SalesManager's settings. All may change while it runs; what was begun keeps the times that it began with.
struct SalesManagerConfiguration: Sendable {
    /// `cart.seconds`: how long a cart holds its tickets; 1 to 3,600, default 600.
    let cartTime: TimeSpan
    /// `order.seconds`: how long an order waits for its payment; 1 to 86,400, default 900.
    let orderTime: TimeSpan
    /// `order.holdMarginSeconds`: how much longer than the order its hold lives; 0 to 86,400, default 300.
    let holdMargin: TimeSpan
    /// `reconcile.seconds`: how often open orders and refunds are looked at; 1 to 3,600, default 5.
    let reconcileInterval: TimeSpan

    /// Throws `Problem` for a setting that cannot be meant.
    init(_ reader: ConfigSnapshotReader) throws {
        cartTime = .seconds(Int64(try reader.number("cart.seconds", default: 600, in: 1...3_600)))
        orderTime = .seconds(Int64(try reader.number("order.seconds", default: 900, in: 1...86_400)))
        holdMargin = .seconds(Int64(try reader.number("order.holdMarginSeconds", default: 300, in: 0...86_400)))
        reconcileInterval = .seconds(Int64(try reader.number("reconcile.seconds", default: 5, in: 1...3_600)))
    }
}

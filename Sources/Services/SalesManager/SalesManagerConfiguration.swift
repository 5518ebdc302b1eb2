import Configuration
import Values

/// SalesManager's settings.
struct SalesManagerConfiguration: Sendable {
    /// `cart.seconds`: how long a cart holds its tickets; 1 to 3,600, default 600.
    let cartTime: TimeSpan
    /// `order.seconds`: how long an order waits for its payment; default 900.
    let orderTime: TimeSpan
    /// `order.holdMarginSeconds`: how much longer than the order its hold lives; default 300.
    let holdMargin: TimeSpan
    /// `reconcile.seconds`: how often open orders and refunds are looked at; default 5.
    let reconcileInterval: TimeSpan

    init(_ reader: ConfigReader) {
        cartTime = .seconds(Int64(min(max(reader.int(forKey: "cart.seconds", default: 600), 1), 3_600)))
        orderTime = .seconds(Int64(max(reader.int(forKey: "order.seconds", default: 900), 1)))
        holdMargin = .seconds(Int64(max(reader.int(forKey: "order.holdMarginSeconds", default: 300), 0)))
        reconcileInterval = .seconds(Int64(max(reader.int(forKey: "reconcile.seconds", default: 5), 1)))
    }
}

/// Where the work at hand came from. It is written into every event and every log line.
public struct Correlation: Sendable {
    @TaskLocal public static var current = Correlation()

    /// Of the request, the message or the job that caused it.
    public var id: String?
    /// The trace that it belongs to, which goes through requests and messages alike (W3C Trace Context).
    public var traceparent: String?

    public init(id: String? = nil, traceparent: String? = nil) {
        self.id = id
        self.traceparent = traceparent
    }

    public static var id: String? { current.id }
    public static var traceparent: String? { current.traceparent }

    /// - Parameter traceparent: as it came; one that is malformed tells of no trace.
    public static func isTrace(_ traceparent: String) -> Bool {
        let bytes = traceparent.utf8
        guard bytes.count == 55, traceparent.hasPrefix("00-") else { return false }
        var (trace, parent) = (false, false)
        for (place, byte) in bytes.enumerated() {
            switch place {
            case 2, 35, 52: guard byte == UInt8(ascii: "-") else { return false }
            default:
                guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
                else {
                    return false
                }
                if byte != UInt8(ascii: "0"), (3..<35).contains(place) { trace = true }
                if byte != UInt8(ascii: "0"), (36..<52).contains(place) { parent = true }
            }
        }
        return trace && parent
    }
}

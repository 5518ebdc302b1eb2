/// Waits between attempts to connect: they grow from a tenth of a second to five seconds, each shortened by up to half at random,
/// so that not all clients of a server that comes back are there at the same moment.
struct Backoff {
    private static let longest = Duration.seconds(5)

    private var next = Duration.milliseconds(100)

    mutating func wait() -> Duration {
        defer { next = min(next * 2, Backoff.longest) }
        return next * Double.random(in: 0.5...1)
    }

    mutating func reset() {
        self = Backoff()
    }
}

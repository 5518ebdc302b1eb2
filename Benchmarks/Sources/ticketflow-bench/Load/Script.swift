import NIOCore

/// What one client does, request after request. A value that moves to the event loop and comes back when the load is over, with
/// whatever it has collected.
protocol Script: Sendable {
    /// Writes the next request to `turn.out`, having seen the answer to the last one; nil at the beginning and after a pause.
    /// - Throws: where an answer is not what it must be; this ends the whole load.
    mutating func next(after answer: Answer?, _ turn: inout Turn) throws -> Step
}

enum Step {
    /// A request stands in `turn.out`.
    case request
    case pause(TimeAmount)
    case stop
}

/// A client's side of a load: where it writes its request, and what it has measured.
struct Turn {
    var out: ByteBuffer
    private(set) var timings = Timings()
    private let window: Window
    private var begun: NIODeadline
    private var sent: NIODeadline

    init(window: Window, out: ByteBuffer) {
        self.window = window
        self.out = out
        begun = .now()
        sent = begun
    }

    /// Whether another operation may begin.
    var goesOn: Bool { window.end.map { .now() < $0 } ?? true }

    /// An operation of one or more requests begins.
    /// - Parameter time: when it should have begun, where that counts.
    mutating func begin(at time: NIODeadline = .now()) {
        begun = time
    }

    /// The operation that was begun is done.
    mutating func complete() {
        let now = NIODeadline.now()
        guard window.counts(now) else { return }
        timings.operations.append((now - begun).nanoseconds)
        timings.last = now
    }

    /// The last request was answered with a refusal that counts by itself.
    mutating func refused() {
        let now = NIODeadline.now()
        if window.counts(now) { timings.refusals.append((now - sent).nanoseconds) }
    }

    mutating func requestIsSent() {
        sent = .now()
    }
}

/// When a load begins, from when on it is measured, and when it ends.
struct Window: Sendable {
    let begin: NIODeadline
    let measured: NIODeadline
    /// Nil where the scripts end by themselves.
    let end: NIODeadline?

    func counts(_ time: NIODeadline) -> Bool {
        measured <= time && end.map { time <= $0 } ?? true
    }
}

/// Nanoseconds.
struct Timings: Sendable {
    var operations: [Int64] = []
    var refusals: [Int64] = []
    /// When the last operation was done.
    var last: NIODeadline?
}

import Discovery
import Values

#if canImport(Glibc)
    import Glibc
#endif

/// Deliberate faults at named points, to show that nothing is lost there. Off unless `TICKETFLOW_FAULTS` names some:
/// `sales.order-committed=crash:0.1,tickets.hold(event_…)=stall:10,payments.provider=fail:1`.
package struct Faults: Sendable {
    private enum Fault: Sendable {
        /// Kills the process with SIGKILL with this probability.
        case crash(Double)
        /// Waits this long, at most until the caller's deadline.
        case stall(TimeSpan)
        /// Throws with this probability.
        case fail(Double)
    }

    private let faults: [String: Fault]

    package static let none = Faults(faults: [:])

    private init(faults: [String: Fault]) {
        self.faults = faults
    }

    /// Throws for a text that names no fault, so that a test cannot believe in one that is not there.
    package init(_ text: String) throws {
        var faults: [String: Fault] = [:]
        for entry in text.split(separator: ",") {
            let parts = entry.split(separator: "=", maxSplits: 1)
            let fault = parts.count == 2 ? parts[1].split(separator: ":") : []
            guard fault.count == 2, let value = Double(fault[1]) else {
                throw Problem.badRequest(
                    "\(entry) is not a fault; say POINT=crash:PROBABILITY, POINT=stall:SECONDS or POINT=fail:PROBABILITY")
            }
            switch fault[0] {
            case "crash": faults[String(parts[0])] = .crash(value)
            case "stall": faults[String(parts[0])] = .stall(.milliseconds(Int64(value * 1_000)))
            case "fail": faults[String(parts[0])] = .fail(value)
            default: throw Problem.badRequest("\(fault[0]) is not a kind of fault; there are crash, stall and fail")
            }
        }
        self.faults = faults
    }

    /// A point where a fault may be.
    package func point(_ name: @autoclosure () -> String) async throws {
        guard !faults.isEmpty else { return }
        let name = name()
        guard let fault = faults[name] else { return }
        switch fault {
        case .crash(let probability):
            if Double.random(in: 0..<1) < probability { kill(getpid(), SIGKILL) }
        case .stall(let time):
            let limit = Deadline.current.map { $0 - .now } ?? time
            try? await Task.sleep(for: min(time, limit).duration)
            if Deadline.isOver { throw Problem.unavailable("It took too long; nothing was done. Try again.") }
        case .fail(let probability):
            if Double.random(in: 0..<1) < probability { throw Problem.unavailable("A fault was asked for at \(name).") }
        }
    }
}

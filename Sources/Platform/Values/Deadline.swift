/// Until when the caller of the work at hand still waits for its answer.
///
/// It travels with calls between services, and ends the waiting, never the work: what was begun ends with its real outcome.
package enum Deadline {
    @TaskLocal package static var current: Instant?

    package static var isOver: Bool {
        guard let current else { return false }
        return current <= .now
    }
}

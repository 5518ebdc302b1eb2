/// Until when the caller of the work at hand still waits for its answer.
///
/// It travels with calls between services, and ends the waiting, never the work: what was begun ends with its real outcome.
public enum Deadline {
    @TaskLocal public static var current: Instant?

    public static var isOver: Bool {
        guard let current else { return false }
        return current <= .now
    }
}

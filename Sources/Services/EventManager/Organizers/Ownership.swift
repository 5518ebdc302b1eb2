import Contracts
import Discovery
import Logging
import ServiceKit
import Storage
import Values

/// Makes who created an organizer its owner, who is known to Authentication alone.
///
/// The organizer commits first, marked as unconfirmed; then Authentication is told, which may be repeated; then the mark is
/// taken away. A crash in between is repaired by the timer.
struct Ownership: Sendable {
    private static let batch = 100

    let database: Database
    let authentication: AuthenticationClient
    let faults: Faults
    let logger: Logger

    func confirm(_ organizer: OrganizerID, owner: UserID) async throws {
        try await faults.point("events.organizer-committed")
        do {
            try await authentication.makeOwner(owner, of: organizer)
        } catch let problem as Problem where problem.status == 404 || problem.code == "has-owner" {
            // The user is gone, or the organizer has found an owner since: there is nothing to repeat.
            logger.warning(
                "an organizer's creator did not become its owner",
                metadata: ["organizer": "\(organizer)", "user": "\(owner)", "reason": "\(problem.code)"])
        }
        try await database.write { tx in try OrganizerStore.confirmOwner(of: organizer, in: tx) }
    }

    @Sendable func confirmPending() async throws {
        let pending = try await database.read { tx in try OrganizerStore.unconfirmed(limit: Ownership.batch, in: tx) }
        for (organizer, owner) in pending {
            do {
                try await confirm(organizer, owner: owner)
            } catch {
                logger.warning(
                    "an organizer has no owner yet; it is tried again",
                    metadata: ["organizer": "\(organizer)", "user": "\(owner)", "error": "\(error)"])
            }
        }
    }
}

package import Discovery

/// EventManager, as its peers call it.
package struct EventManagerClient: Sendable {
    private let peer: PeerClient

    package init(_ peer: PeerClient) {
        self.peer = peer
    }

    /// In any state. `Problem` 404 if there is none.
    package func event(_ id: EventID) async throws -> Event {
        try await peer.call(EventManagerRoutes.eventForServices, ["\(id)"])
    }

    package func organizer(_ id: OrganizerID) async throws -> Organizer {
        try await peer.call(EventManagerRoutes.organizerForServices, ["\(id)"])
    }
}

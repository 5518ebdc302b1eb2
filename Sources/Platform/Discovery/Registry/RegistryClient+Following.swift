import Logging
import Synchronization
import Values

/// How a process hears of its peers.
extension RegistryClient {
    /// Follows one registry for as long as it answers, then the next.
    func keepKnowing() async {
        let connections = state.withLock(\.connections)
        var memory = Memory()
        var failures = 0
        var index = 0
        while !Task.isCancelled {
            let connection = connections[index]
            var hasAnswered = false
            do {
                try await follow(connection, &memory) {
                    failures = 0
                    hasAnswered = true
                    self.answered(index, connection)
                }
            } catch {
                logger.debug("a registry does not answer", metadata: ["registry": "\(connection.address)", "error": "\(error)"])
            }
            guard !Task.isCancelled else { return }
            failures += 1
            index = (index + 1) % connections.count
            if failures >= connections.count { lost() }
            // Also behind one that answered, and then did not go on: the same may become of the next.
            if hasAnswered || failures >= connections.count {
                try? await Task.sleep(for: .milliseconds(Int64.random(in: 500...1_500)))
            }
        }
    }

    /// Forgets, when the time is over, whom a whole list no longer held.
    func keepForgetting() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(5))
            learn { $0.apply([], at: .now) }
        }
    }

    /// What is remembered between two conversations.
    private struct Memory {
        /// Of the last event that was seen.
        var eventID: String?
    }

    private func follow(_ connection: RegistryConnection, _ memory: inout Memory, onAnswer: () -> Void) async throws {
        var last = memory.eventID
        defer { memory.eventID = last }
        let hasStream = try await connection.followChanges(after: last) {
            onAnswer()
            // It may have begun anew, and know nothing of what runs here.
            await renewAll(alsoNew: false)
        } _: { event in
            switch event.name {
            case "all":
                let listing = try JSON.value(RegistryListing.self, from: event.data)
                learn { $0.replace(with: listing.instances, at: .now) }
            case "change":
                let change = try JSON.value(EnclosedInstance.self, from: event.data)
                learn { $0.apply([change.instance], at: .now) }
            default: break
            }
            last = event.id ?? last
        }
        guard !hasStream else { return }
        last = nil
        try await poll(connection, onAnswer: onAnswer)
    }

    /// Asks again and again what has changed, and for everything where the changes do not lead to what the registry has.
    private func poll(_ connection: RegistryConnection, onAnswer: () -> Void) async throws {
        var version: String?
        while !Task.isCancelled {
            if version != nil {
                let changes = try await connection.recentChanges()
                onAnswer()
                if changes.version != version { learn { $0.apply(changes.instances, at: .now) } }
                version = state.withLock({ $0.known.hash }) == changes.hash ? changes.version : nil
            }
            if version == nil {
                let everything = try await connection.everything()
                onAnswer()
                learn { $0.replace(with: everything.instances, at: .now) }
                version = ""
            }
            try await Task.sleep(for: settings.poll.duration)
        }
    }

    private func answered(_ index: Int, _ connection: RegistryConnection) {
        let isNew = state.withLock { state in
            defer {
                state.hasAnswer = true
                state.current = index
            }
            return !state.hasAnswer
        }
        if isNew { logger.info("a registry answers", metadata: ["registry": "\(connection.address)"]) }
    }

    private func lost() {
        let isNew = state.withLock { state in
            defer { state.hasAnswer = false }
            return state.hasAnswer
        }
        if isNew { logger.warning("no registry answers; what is known of instances stays as it is") }
    }
}

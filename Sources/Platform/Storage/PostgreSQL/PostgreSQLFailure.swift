/// Why a transaction cannot go on.
enum PostgreSQLFailure: Error {
    /// The server refused a statement. The session goes on, the transaction does not.
    case refused(state: String, message: String)
    /// The server ended a statement because its caller's time was over.
    case expired
    /// Nothing is to be had from this connection any more.
    case lost(String)
    /// No server took a connection in time.
    case unreachable(String)
    /// The caller's time was over before any server had taken a connection, or refused it.
    case late

    /// Whether the same transaction may go well when it is run again. Never asked for one that may have been committed.
    var isWorthAnotherTry: Bool {
        switch self {
        case .refused(let state, _): PostgreSQLFailure.conflicts.contains(state) || isOfSession
        case .lost: true
        case .expired, .unreachable, .late: false
        }
    }

    /// Whether what the session has prepared is of no use any more: a schema was changed, or it is another session.
    var isOfSession: Bool {
        guard case .refused(let state, let message) = self else { return false }
        return isOfAnotherSession || (state == "0A000" && message.contains("cached plan"))
    }

    /// Whether what was prepared is not there: something between here and the server lets connections share sessions.
    var isOfAnotherSession: Bool {
        guard case .refused("26000", _) = self else { return false }
        return true
    }

    /// Whether what pools connections has refused to tell a session anything.
    var isOfPooler: Bool {
        guard case .unreachable(let message) = self else { return false }
        return message.contains("unsupported startup parameter")
    }

    /// Whether it is what the body asked for that was wrong.
    var isOfStatement: Bool {
        guard case .refused(let state, _) = self else { return false }
        return !isWorthAnotherTry && !PostgreSQLFailure.timeLimits.contains(state)
    }

    var storageError: StorageError {
        switch self {
        case .expired: .deadline(begun: true)
        case .late: .deadline(begun: false)
        case .lost(let message), .unreachable(let message): .unavailable(message)
        case .refused(let state, let message): StorageError(sqlState: state, message: message)
        }
    }

    /// Serialization failure and deadlock.
    private static let conflicts: Set = ["40001", "40P01"]
    /// Canceled by `statement_timeout`, and by `lock_timeout`.
    fileprivate static let timeLimits: Set = ["57014", "55P03"]
}

extension StorageError {
    /// - Parameter sqlState: PostgreSQL's error code (its documentation, appendix A).
    init(sqlState: String, message: String) {
        self =
            switch sqlState {
            case "23505": .constraint(.unique, detail: message)
            case "23503": .constraint(.foreignKey, detail: message)
            case "23514": .constraint(.check, detail: message)
            case "23502": .constraint(.notNull, detail: message)
            case _ where sqlState.hasPrefix("23"): .constraint(.other, detail: message)
            case _ where PostgreSQLFailure.timeLimits.contains(sqlState): .timeLimit(message)
            default: .engine(code: sqlState, message: message)
            }
    }
}

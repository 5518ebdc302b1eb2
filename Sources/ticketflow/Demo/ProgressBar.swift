import Synchronization

/// How far something is, on standard error: a bar where a person looks, else a line for each phase.
final class ProgressBar: Sendable {
    private struct State {
        var done = 0
        var phase = ""
        var shown = -1
    }

    private static let width = 30

    private let total: Int
    private let state = Mutex(State())

    init(total: Int) {
        self.total = max(1, total)
    }

    func phase(_ name: String) {
        state.withLock { state in
            state.phase = name
            state.shown = -1
            if Terminal.isWatched { show(&state) } else { Terminal.note("loading \(name)\n") }
        }
    }

    func step() {
        state.withLock { state in
            state.done += 1
            if Terminal.isWatched { show(&state) }
        }
    }

    func end() {
        if Terminal.isWatched { Terminal.note("\r\u{1B}[K") }
    }

    private func show(_ state: inout State) {
        let percent = min(100, state.done * 100 / total)
        guard percent != state.shown else { return }
        state.shown = percent
        let filled = ProgressBar.width * percent / 100
        let bar = String(repeating: "=", count: filled) + String(repeating: " ", count: ProgressBar.width - filled)
        Terminal.note("\r\u{1B}[K[\(bar)] \(percent)% \(state.phase)")
    }
}

import Glibc

/// What a command says to whoever started it.
enum Terminal {
    /// A line on standard output. Flushed, for without a terminal it is buffered until the end.
    static func say(_ text: String) {
        print(text)
        fflush(nil)
    }

    /// Text on standard error, where logs and progress go.
    static func note(_ text: String) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }

    /// Whether a person looks at standard error.
    static var isWatched: Bool { isatty(STDERR_FILENO) == 1 }

    /// One line of standard input that is nobody else's business: asked for where a person sits there, and not shown.
    static func secret(_ question: String) -> String? {
        guard isatty(STDIN_FILENO) == 1 else { return readLine(strippingNewline: true) }
        note(question)
        var shown = termios()
        tcgetattr(STDIN_FILENO, &shown)
        var hidden = shown
        hidden.c_lflag &= ~tcflag_t(ECHO)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden)
        defer {
            tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown)
            note("\n")
        }
        return readLine(strippingNewline: true)
    }
}

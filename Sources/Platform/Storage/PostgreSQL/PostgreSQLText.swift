extension SQL {
    /// The statement in PostgreSQL's words: values are `$1`, `$2`, and what only PostgreSQL says stands in its place.
    /// - Parameter isReadOnly: a read sees a snapshot and locks nothing.
    func postgreSQLText(isReadOnly: Bool) -> String {
        let differences = isReadOnly ? [] : differences
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count + 3 * values.count + 24 * differences.count)
        var value = 0
        var difference = differences.startIndex
        for (offset, byte) in text.utf8.enumerated() {
            while difference < differences.endIndex, differences[difference].offset <= offset {
                bytes += differences[difference].1.postgreSQLText.utf8
                difference += 1
            }
            if byte == UInt8(ascii: "?") {
                value += 1
                bytes += "$\(value)".utf8
            } else {
                bytes.append(byte)
            }
        }
        for (_, difference) in differences[difference...] { bytes += difference.postgreSQLText.utf8 }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension SQL.Difference {
    fileprivate var postgreSQLText: String {
        switch self {
        // The weaker of the two exclusive locks: no key ever changes, and rows that refer to this one may be written meanwhile.
        case .forUpdate: "FOR NO KEY UPDATE"
        }
    }
}

extension Migration {
    /// A statement in PostgreSQL's words. Text is compared byte by byte, as in SQLite, whatever the database's language.
    static func postgreSQLText(_ statement: String) -> String {
        statement.replacing(") CLUSTERED;", with: ");").replacing(" TEXT", with: " TEXT COLLATE \"C\"")
    }
}

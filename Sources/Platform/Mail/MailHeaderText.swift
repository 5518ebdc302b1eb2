import Values

/// Header text as the wire has it: 7 bits, in lines of at most 76 columns (RFC 5322, 2.2.3; RFC 2047).
///
/// All functions expect text that ``MailMessage/validate()`` has let pass: nothing below U+0020 but tabs.
enum MailHeaderText {
    static let columns = 76

    /// `name: value`, without the final line end.
    static func field(_ name: String, _ value: String) -> String {
        guard !value.isEmpty else { return "\(name):" }
        guard isPlain(value) else { return "\(name): " + encodedWords(value, column: name.utf8.count + 2) }
        var line = "\(name):"
        var column = line.utf8.count
        for word in value.split(separator: " ") {
            // Never before the first word: some programs take an empty first line for an empty header.
            if column > name.utf8.count + 1, column + 1 + word.utf8.count > columns {
                line += "\r\n"
                column = 0
            }
            line += " " + word
            column += 1 + word.utf8.count
        }
        return line
    }

    /// `name: "Display Name" <local@domain>`.
    static func field(_ name: String, _ mailbox: MailAddress) -> String {
        guard let display = mailbox.name, !display.isEmpty else { return "\(name): \(mailbox.address)" }
        let phrase: String
        if !isPlain(display) || display.utf8.count > 50 {
            phrase = encodedWords(display, column: name.utf8.count + 2)
        } else if display.utf8.allSatisfy({ $0.isAtomText || $0 == UInt8(ascii: " ") }) {
            phrase = display
        } else {
            phrase = quoted(display)
        }
        // On a line of its own, the address fits whatever the name is.
        return "\(name): \(phrase)\r\n <\(mailbox.address)>"
    }

    /// A parameter such as `filename="a.pdf"`; beyond ASCII in the form of RFC 2231, `filename*=UTF-8''%C3%A4.pdf`.
    static func parameter(_ name: String, _ value: String) -> String {
        if value.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) { return "\(name)=\(quoted(value))" }
        var encoded = ""
        for byte in value.utf8 {
            if byte.isLetterOrDigit || "-._~".utf8.contains(byte) {
                encoded.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                encoded += "%" + hexadecimal(byte)
            }
        }
        return "\(name)*=UTF-8''\(encoded)"
    }

    static func hexadecimal(_ byte: UInt8) -> String {
        let digits = Array("0123456789ABCDEF".unicodeScalars)
        return String(Character(digits[Int(byte >> 4)])) + String(Character(digits[Int(byte & 15)]))
    }

    /// Whether the text may stand as it is, and comes out the same after folding and unfolding.
    private static func isPlain(_ text: String) -> Bool {
        text.utf8.allSatisfy { (0x20...0x7E).contains($0) }
            && !text.contains("=?")
            && text.split(separator: " ", omittingEmptySubsequences: false)
                .allSatisfy { !$0.isEmpty && $0.utf8.count <= 900 }
    }

    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for character in text {
            if character == "\"" || character == "\\" { quoted += "\\" }
            quoted.append(character)
        }
        return quoted + "\""
    }

    /// `=?UTF-8?B?...?=`, as many as it takes: each holds whole code points and is at most 75 columns wide, and the line
    /// ends between them are no part of the text.
    private static func encodedWords(_ text: String, column: Int) -> String {
        var words: [String] = []
        var bytes: [UInt8] = []
        func room() -> Int { (min(75, columns - (words.isEmpty ? column : 1)) - "=?UTF-8?B??=".utf8.count) / 4 * 3 }
        func finishWord() {
            words.append("=?UTF-8?B?" + String(decoding: MailBody.base64(bytes), as: UTF8.self) + "?=")
            bytes = []
        }
        for scalar in text.unicodeScalars {
            let encoded = UTF8.encode(scalar)!
            if bytes.count + encoded.count > room() { finishWord() }
            bytes += encoded
        }
        if !bytes.isEmpty { finishWord() }
        return words.joined(separator: "\r\n ")
    }
}

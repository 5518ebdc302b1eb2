/// What goes out and comes in while one mail is handed over. Used by one thread at a time: curl calls it from within
/// `curl_easy_perform`.
final class SMTPExchange {
    private let mail: [UInt8]
    private var sent = 0
    private var replyIsComplete = true
    private(set) var reply = ""

    init(_ mail: [UInt8]) {
        self.mail = mail
    }

    var size: Int { mail.count }
    /// Whether the server has asked for the mail itself, which it does after it has taken sender and recipient.
    var hasBegunMail: Bool { sent > 0 }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(buffer.count, mail.count - sent)
        unsafe buffer.copyBytes(from: mail[sent..<sent + count])
        sent += count
        return count
    }

    /// One line of a reply: `550-No such` and then `550 user here` (RFC 5321, 4.2.1). Keeps the text of the last reply.
    func receive(_ line: UnsafeRawBufferPointer) {
        let bytes = unsafe Array(line)
        // The farewell, which curl waits for after a failure too, must not replace the reason.
        if bytes.starts(with: "221".utf8) { return }
        let separator = bytes.count > 3 ? bytes[3] : 0
        if replyIsComplete { reply = "" }
        replyIsComplete = separator != UInt8(ascii: "-")
        let text = String(decoding: bytes.dropFirst(4).filter { $0 >= 0x20 && $0 != 0x7F }, as: UTF8.self)
        // Ends in logs and in a database: what a server may write there has a bound.
        if reply.utf8.count + text.utf8.count < 1_000 { reply += reply.isEmpty ? text : " " + text }
    }
}

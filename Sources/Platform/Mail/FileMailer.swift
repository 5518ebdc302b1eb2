import FoundationEssentials
internal import NIOPosix
internal import Values

/// Puts each mail into a file instead of sending it, for a system that has no mail server: `<messageID>.eml`, which any
/// mail program opens.
///
/// A mail that is sent again replaces its own file.
package struct FileMailer: Mailer {
    private let directory: String

    /// - Parameter directory: is made at the first mail, readable by its owner alone: mails carry tickets.
    package init(directory: String) {
        self.directory = directory
    }

    package func send(_ message: MailMessage) async throws(MailError) {
        let mail = try message.rendered()
        let url = URL(filePath: directory).appending(path: try FileMailer.fileName(for: message.messageID))
        let directory = directory
        do {
            // On a thread that may block. `.atomic` writes a file beside it and renames that.
            try await NIOThreadPool.singleton.runIfActive {
                try FileManager.default.createDirectory(
                    atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
                try Data(mail).write(to: url, options: .atomic)
            }
        } catch {
            throw .temporary(code: nil, message: "cannot write \(url.path): \(error)")
        }
    }

    /// Depends on the message id alone and differs for each: what might mean something to a file system is
    /// percent-encoded.
    static func fileName(for messageID: String) throws(MailError) -> String {
        var name = ""
        for byte in messageID.utf8 {
            if byte.isLetterOrDigit || "@+-_=".utf8.contains(byte) || (byte == UInt8(ascii: ".") && !name.isEmpty) {
                name.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                name += "%" + String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
            }
        }
        guard name.utf8.count <= 250 else { throw .invalid(field: "messageID") }
        return name + ".eml"
    }
}

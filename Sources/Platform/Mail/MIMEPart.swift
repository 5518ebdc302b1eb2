/// A piece of a mail's body (RFC 2046).
indirect enum MIMEPart {
    case text(subtype: String, String)
    case attachment(MailAttachment)
    case multipart(subtype: String, [MIMEPart])

    /// mixed(related(alternative(text, html), what the HTML shows), files), without the levels that would hold one part.
    init(_ message: MailMessage) {
        var part = MIMEPart.text(subtype: "plain", message.text)
        if let html = message.html { part = .multipart(subtype: "alternative", [part, .text(subtype: "html", html)]) }
        let shown = message.attachments.filter { $0.isInline && message.html != nil }
        let files = message.attachments.filter { !($0.isInline && message.html != nil) }
        if !shown.isEmpty { part = .multipart(subtype: "related", [part] + shown.map(MIMEPart.attachment)) }
        if !files.isEmpty { part = .multipart(subtype: "mixed", [part] + files.map(MIMEPart.attachment)) }
        self = part
    }

    /// Headers, an empty line, and the content.
    func write(to output: inout [UInt8]) {
        switch self {
        case .text(let subtype, let text):
            output += "Content-Type: text/\(subtype); charset=utf-8\r\n".utf8
            output += "Content-Transfer-Encoding: quoted-printable\r\n\r\n".utf8
            MailBody.appendQuotedPrintable(text, to: &output)
        case .attachment(let attachment):
            let name = MailHeaderText.parameter("filename", attachment.safeFileName)
            output += "Content-Type: \(attachment.contentType)\r\n".utf8
            output += "Content-Transfer-Encoding: base64\r\n".utf8
            output += "Content-Disposition: \(attachment.isInline ? "inline" : "attachment");\r\n \(name)\r\n".utf8
            if let contentID = attachment.contentID { output += "Content-ID: <\(contentID)>\r\n".utf8 }
            output += "\r\n".utf8
            MailBody.appendBase64Lines(attachment.data, to: &output)
        case .multipart(let subtype, let parts):
            // Neither quoted-printable nor base64 ever has "=_", so that no content can look like a boundary. The same
            // mail has the same bytes at each attempt.
            let boundary = "=_\(subtype)"
            // RFC 2387 wants the type of the root part.
            let root = subtype == "related" ? "\r\n type=\"\(parts[0].contentType)\";" : ""
            output += "Content-Type: multipart/\(subtype);\(root)\r\n boundary=\"\(boundary)\"\r\n\r\n".utf8
            for part in parts {
                output += "--\(boundary)\r\n".utf8
                part.write(to: &output)
                output += "\r\n".utf8
            }
            output += "--\(boundary)--\r\n".utf8
        }
    }

    private var contentType: String {
        switch self {
        case .text(let subtype, _): "text/\(subtype)"
        case .attachment(let attachment): attachment.contentType
        case .multipart(let subtype, _): "multipart/\(subtype)"
        }
    }
}

extension MailAttachment {
    /// A name cannot lead out of the directory that the reader saves it in.
    fileprivate var safeFileName: String {
        String(fileName.map { $0 == "/" || $0 == "\\" ? "-" : $0 })
    }
}

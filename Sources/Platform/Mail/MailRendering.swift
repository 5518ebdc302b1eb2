import Values

extension MailMessage {
    /// The mail as RFC 5322 bytes of 7 bits, with CRLF line ends. The same message gives the same bytes.
    package func rendered() throws(MailError) -> [UInt8] {
        try validate()
        var fields = [
            "Date: \(date.mailDate)",
            MailHeaderText.field("From", from),
            MailHeaderText.field("To", to),
            "Message-ID: <\(messageID)>",
            MailHeaderText.field("Subject", subject),
        ]
        fields += headers.map { MailHeaderText.field($0.name, $0.value) }
        fields.append("MIME-Version: 1.0")
        var output: [UInt8] = []
        for field in fields {
            output += field.utf8
            output += "\r\n".utf8
        }
        MIMEPart(self).write(to: &output)
        if !output.suffix(2).elementsEqual([13, 10]) { output += "\r\n".utf8 }
        return output
    }

    /// Headers that come from the fields of the message, and so from nowhere else.
    private static let ownHeaders: Set<String> = [
        "from", "to", "cc", "bcc", "subject", "date", "message-id", "mime-version", "content-type",
        "content-transfer-encoding", "content-disposition", "content-id",
    ]

    private func validate() throws(MailError) {
        func require(_ holds: Bool, _ field: @autoclosure () -> String) throws(MailError) {
            if !holds { throw .invalid(field: field()) }
        }
        try require(from.isValid, "from.address")
        try require(from.name?.isHeaderText ?? true, "from.name")
        try require(to.isValid, "to.address")
        try require(to.name?.isHeaderText ?? true, "to.name")
        try require(subject.isHeaderText, "subject")
        try require(messageID.isMessageID, "messageID")
        for (index, header) in headers.enumerated() {
            let isName = (1...60).contains(header.name.utf8.count) && header.name.utf8.allSatisfy(\.isHeaderNameByte)
            try require(isName && !MailMessage.ownHeaders.contains(header.name.lowercased()), "headers[\(index)].name")
            try require(header.value.isHeaderText, "headers[\(index)].value")
        }
        for (index, attachment) in attachments.enumerated() {
            let fileName = attachment.fileName
            try require(
                fileName.isHeaderText && (1...255).contains(fileName.utf8.count), "attachments[\(index)].fileName")
            try require(attachment.contentType.isContentType, "attachments[\(index)].contentType")
            try require(attachment.contentID?.isMessageID ?? true, "attachments[\(index)].contentID")
        }
    }
}

extension String {
    /// No control characters: neither those that end a header line nor those that a server may take for one.
    fileprivate var isHeaderText: Bool {
        utf8.allSatisfy { ($0 >= 0x20 && $0 != 0x7F) || $0 == 9 }
    }

    /// `left@right` of atoms (RFC 5322, 3.6.4).
    fileprivate var isMessageID: Bool {
        let sides = utf8.split(separator: UInt8(ascii: "@"), omittingEmptySubsequences: false)
        return sides.count == 2 && utf8.count <= 200
            && sides.allSatisfy { !$0.isEmpty && $0.allSatisfy { $0.isAtomText || $0 == UInt8(ascii: ".") } }
    }

    /// A media type that base64 is allowed for: neither multipart nor a message (RFC 2046, 5).
    fileprivate var isContentType: Bool {
        let type = lowercased().split(separator: ";", maxSplits: 1, omittingEmptySubsequences: false)[0]
        let halves = type.split(separator: "/", omittingEmptySubsequences: false)
        return utf8.count <= 200 && utf8.allSatisfy { (0x20...0x7E).contains($0) } && halves.count == 2
            && halves[0] != "multipart" && halves[0] != "message"
            && halves.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy(\.isHeaderNameByte) }
    }
}

extension UInt8 {
    /// Letters, digits and the marks that names of headers and media types are made of.
    fileprivate var isHeaderNameByte: Bool {
        isLetterOrDigit || "-+._!#$&^".utf8.contains(self)
    }
}

extension Instant {
    /// RFC 5322, 3.3: `Thu, 01 Jan 1970 00:00:00 +0000`.
    fileprivate var mailDate: String {
        let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        func twoDigits(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let days = Int(seconds.flooredDivision(by: 86_400))
        let weekday = weekdays[(days % 7 + 7) % 7]
        let c = civil
        let time = [c.hour, c.minute, c.second].map(twoDigits).joined(separator: ":")
        return "\(weekday), \(twoDigits(c.day)) \(months[c.month - 1]) \(c.year) \(time) +0000"
    }
}

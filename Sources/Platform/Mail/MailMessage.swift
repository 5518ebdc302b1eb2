package import Values

/// A mail to one recipient.
///
/// Its parts may hold any text: what cannot be sent safely (a line break in a subject, an address that is none) is
/// refused with ``MailError/invalid(field:)`` when it is rendered, and never reaches a header.
package struct MailMessage: Hashable, Sendable {
    package var from: MailAddress
    package var to: MailAddress
    package var subject: String
    /// What a program without HTML shows. Lines end in any way, and may be of any length.
    package var text: String
    /// The same as an HTML document, or nil.
    package var html: String?
    package var attachments: [MailAttachment]
    /// `left@right`, without angle brackets, at most 200 bytes. The same for each attempt to send the same mail, so that
    /// whoever gets it twice can tell.
    package var messageID: String
    package var date: Instant
    /// Further headers, such as `Reply-To`, `List-Unsubscribe` or `Auto-Submitted`; none that this type writes itself.
    package var headers: [MailHeader]

    package init(
        from: MailAddress, to: MailAddress, subject: String, text: String, html: String? = nil,
        attachments: [MailAttachment] = [], messageID: String, date: Instant, headers: [MailHeader] = []
    ) {
        self.from = from
        self.to = to
        self.subject = subject
        self.text = text
        self.html = html
        self.attachments = attachments
        self.messageID = messageID
        self.date = date
        self.headers = headers
    }
}

/// A file that a mail carries.
package struct MailAttachment: Hashable, Sendable {
    /// As the reader sees it, at most 255 bytes. Path separators become hyphens.
    package var fileName: String
    /// A media type with its parameters, such as `application/pdf` or `text/calendar; charset=utf-8; method=PUBLISH`.
    package var contentType: String
    /// `left@right`, without angle brackets: the HTML shows the file with `<img src="cid:left@right">`.
    package var contentID: String?
    package var data: [UInt8]
    /// Whether the file is a piece of the HTML, rather than a file of its own.
    package var isInline: Bool

    package init(
        fileName: String, contentType: String, contentID: String? = nil, data: [UInt8], isInline: Bool = false
    ) {
        self.fileName = fileName
        self.contentType = contentType
        self.contentID = contentID
        self.data = data
        self.isInline = isInline
    }
}

/// A header that the sender adds.
package struct MailHeader: Hashable, Sendable {
    package var name: String
    package var value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

import Foundation
import Mail
import Testing
import Values

@Suite struct MailTests {
    private static let plain = message()

    static func message(
        subject: String = "Your tickets", text: String = "Hello.\n", html: String? = nil,
        attachments: [MailAttachment] = [], headers: [MailHeader] = []
    ) -> MailMessage {
        MailMessage(
            from: MailAddress(name: "TicketFlow", "tickets@shop.example"),
            to: MailAddress(name: "Ada Lovelace", "ada@buyer.example"),
            subject: subject, text: text, html: html, attachments: attachments,
            messageID: "mail_01h455vb4pex5vsknk084sn02q@shop.example",
            date: Instant("2027-05-01T18:30:00Z")!, headers: headers)
    }

    // MARK: What arrives

    @Test func `a mail with everything arrives as it was written`() async throws {
        var sent = MailTests.message(
            subject: "🎟️ تذاكرك لحفل الليلة: Straße & 漢字 – a subject that is much longer than one line can hold 🎉🎉",
            text: "Grüße 🎟️\r\n.\r\n..two dots\nFrom here = there\t\n"
                + String(repeating: "lång ", count: 300) + "end  \n",
            html: #"<p dir="rtl">تذاكرك</p><img src="cid:code1@shop.example">"#,
            attachments: [
                MailAttachment(
                    fileName: "code.png", contentType: "image/png", contentID: "code1@shop.example",
                    data: Array(0...255), isInline: true),
                MailAttachment(
                    fileName: "Eintritt für Zoë 🎫 AC/DC \"live\".pdf", contentType: "application/pdf",
                    data: (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }),
                MailAttachment(fileName: "empty.txt", contentType: "text/plain", data: []),
            ],
            headers: [
                MailHeader("Auto-Submitted", "auto-generated"),
                MailHeader("List-Unsubscribe", "<https://shop.example/\(String(repeating: "x", count: 200))>"),
            ])
        sent.from.name = "Bühne \"Süd\""
        sent.to.name = "Lovelace, Ada \"the \\ Countess\""
        let mail = try await SMTPServer.with(.plain) { server in
            try await SMTPMailer(server.settings()).send(sent)
            return try await server.nextMail()
        }
        #expect(mail.sender == "tickets@shop.example" && mail.recipients == ["ada@buyer.example"])
        #expect(mail.fromName == sent.from.name && mail.fromAddress == sent.from.address)
        #expect(mail.toName == sent.to.name && mail.toAddress == sent.to.address)
        #expect(mail.subject == sent.subject)
        #expect(mail.date == "2027-05-01T18:30:00+00:00")
        #expect(mail.messageID == "<mail_01h455vb4pex5vsknk084sn02q@shop.example>")
        for header in sent.headers { #expect(mail.headers[header.name] == header.value) }
        #expect(mail.text == sent.text.replacing("\r\n", with: "\n").replacing("\n", with: "\r\n"))
        #expect(mail.html == sent.html)
        #expect(
            mail.structure == """
                ["multipart/mixed", ["multipart/related", ["multipart/alternative", "text/plain", "text/html"], \
                "image/png"], "application/pdf", "text/plain"]
                """)
        #expect(mail.attachments.map(\.data) == sent.attachments.map { Data($0.data) })
        #expect(mail.attachments.map(\.disposition) == ["inline", "attachment", "attachment"])
        #expect(
            mail.attachments.map(\.fileName) == [
                "code.png", "Eintritt für Zoë 🎫 AC-DC \"live\".pdf", "empty.txt",
            ])
        #expect(mail.attachments.map(\.contentID) == ["<code1@shop.example>", nil, nil])
        #expect(mail.defects.isEmpty)
        #expect(mail.isSevenBit && !mail.hasBareLineEnd && mail.longestLine < 998)
    }

    @Test func `a subject arrives as it was written`() async throws {
        let subjects = [
            "", "plain", " leading", "trailing ", "two  spaces", "=?UTF-8?B?SGVsbG8=?=", "tab\there", "é",
            "\u{202E}abc",
            String(repeating: "word ", count: 60) + "end", String(repeating: "x", count: 2_000),
            String(repeating: "👩‍👩‍👧‍👦", count: 20), "a \"quoted\" <subject>, with: signs; (and more)",
        ]
        try await SMTPServer.with(.plain) { server in
            let mailer = SMTPMailer(await server.settings())
            for subject in subjects {
                try await mailer.send(MailTests.message(subject: subject))
                let mail = try await server.nextMail()
                #expect(mail.subject == subject)
                #expect(mail.longestLine <= 78 && mail.isSevenBit && mail.defects.isEmpty)
                #expect(mail.structure == #""text/plain""#)
            }
        }
    }

    @Test func `several mails share one connection`() async throws {
        let mails = try await SMTPServer.with(.plain) { server in
            let mailer = SMTPMailer(await server.settings())
            for number in 1...3 { try await mailer.send(MailTests.message(subject: "\(number)")) }
            return try await [server.nextMail(), server.nextMail(), server.nextMail()]
        }
        #expect(mails.map(\.subject) == ["1", "2", "3"])
        #expect(Set(mails.map(\.peer)).count == 1)
    }

    @Test func `a connection that the server has closed meanwhile is replaced`() async throws {
        try await SMTPServer.with(.hangingUp) { server in
            let mailer = SMTPMailer(await server.settings())
            for number in 1...3 {
                try await mailer.send(MailTests.message(subject: "\(number)"))
                #expect(try await server.nextMail().subject == "\(number)")
            }
        }
    }

    // MARK: TLS and login

    @Test(arguments: [(SMTPServer.Mode.startTLS, SMTPSettings.Security.startTLS), (.tls, .implicitTLS)])
    func `with TLS the mail is encrypted, and only for a certificate that is trusted`(
        mode: SMTPServer.Mode, security: SMTPSettings.Security
    ) async throws {
        try await SMTPServer.with(mode) { server in
            var untrusting = await server.settings(security)
            untrusting.caFile = nil
            let refusal = await #expect(throws: MailError.self) {
                try await SMTPMailer(untrusting).send(MailTests.plain)
            }
            #expect(refusal?.isTemporary == true)
            var otherName = await server.settings(security)
            otherName.host = "localhost"
            await #expect(throws: MailError.self) { try await SMTPMailer(otherName).send(MailTests.plain) }
            try await SMTPMailer(server.settings(security)).send(MailTests.message(subject: "trusted"))
            let mail = try await server.nextMail()
            #expect(mail.isEncrypted && mail.subject == "trusted")
        }
    }

    @Test func `a server without TLS gets nothing when TLS is asked for`() async throws {
        try await SMTPServer.with(.plain) { server in
            let refusal = await #expect(throws: MailError.self) {
                try await SMTPMailer(server.settings(.startTLS)).send(MailTests.plain)
            }
            #expect(refusal?.isTemporary == true)
            try await SMTPMailer(server.settings()).send(MailTests.message(subject: "first"))
            #expect(try await server.nextMail().subject == "first")
        }
    }

    @Test func `a wrong login is no reason to give up the mail`() async throws {
        try await SMTPServer.with(.auth) { server in
            var settings = await server.settings()
            let anonymous = await #expect(throws: MailError.self) {
                try await SMTPMailer(settings).send(MailTests.plain)
            }
            #expect(anonymous == .temporary(code: 530, message: "5.7.0 Authentication required"))
            settings.userName = "ticketflow"
            settings.password = "wrong"
            let wrong = await #expect(throws: MailError.self) { try await SMTPMailer(settings).send(MailTests.plain) }
            #expect(wrong == .temporary(code: 535, message: "5.7.8 Authentication credentials invalid"))
            settings.password = "correct horse"
            try await SMTPMailer(settings).send(MailTests.plain)
            #expect(try await server.nextMail().isAuthenticated)
        }
    }

    // MARK: Servers that do not take it

    @Test(arguments: [
        (SMTPServer.Mode.refusing, MailError.refused(code: 550, message: "5.1.1 No such user here")),
        (.refusingContent, .refused(code: 554, message: "5.7.1 This looks like spam")),
        (.greylisting, .temporary(code: 451, message: "4.7.1 Greylisted, come back later")),
        (.closed, .temporary(code: 554, message: "5.3.2 Closed for today")),
    ])
    func `what the server says decides whether the mail is given up`(
        mode: SMTPServer.Mode, expected: MailError
    ) async throws {
        try await SMTPServer.with(mode) { server in
            let mailer = SMTPMailer(await server.settings())
            await #expect(throws: expected) { try await mailer.send(MailTests.plain) }
            await #expect(throws: expected) { try await mailer.send(MailTests.plain) }
        }
    }

    @Test(arguments: [
        (SMTPServer.Mode.slow, MailError.temporary(code: nil, message: "Timeout was reached")),
        (.stalling, .temporary(code: nil, message: "Timeout was reached")),
        (.sulking, .refused(code: 550, message: "5.1.1 No such user here")),
    ])
    func `a server that does not answer is given up in time`(mode: SMTPServer.Mode, expected: MailError) async throws {
        try await SMTPServer.with(mode) { server in
            var settings = await server.settings()
            settings.timeout = .milliseconds(500)
            let mailer = SMTPMailer(settings)
            let taken = await ContinuousClock().measure {
                await #expect(throws: expected) { try await mailer.send(MailTests.plain) }
            }
            #expect(taken < .seconds(30))
        }
    }

    @Test func `a late answer to one mail is never taken for the answer to the next`() async throws {
        try await SMTPServer.with(.stalling) { server in
            var settings = await server.settings()
            settings.timeout = .milliseconds(500)
            let mailer = SMTPMailer(settings)
            await #expect(throws: MailError.self) { try await mailer.send(MailTests.plain) }
            try await mailer.send(MailTests.message(subject: "second"))
            #expect(try await server.nextMail().subject == "second")
        }
    }

    @Test func `a connection that dies within the mail may be tried again`() async throws {
        try await SMTPServer.with(.dying) { server in
            let big = MailAttachment(
                fileName: "a", contentType: "image/png", data: [UInt8](repeating: 1, count: 8_000_000))
            let mailer = SMTPMailer(await server.settings())
            for message in [MailTests.message(attachments: [big]), MailTests.plain] {
                let error = await #expect(throws: MailError.self) { try await mailer.send(message) }
                guard case .temporary(nil, _) = error else { throw error! }
            }
        }
    }

    @Test func `a server that is not there, or is no host, is told apart`() async throws {
        let nowhere = SMTPMailer(SMTPSettings(host: "127.0.0.1", port: 1, security: .none))
        let error = await #expect(throws: MailError.self) { try await nowhere.send(MailTests.plain) }
        #expect(error?.isTemporary == true)
        let noHost = SMTPMailer(SMTPSettings(host: "a/b@c", port: 25, security: .none))
        await #expect(throws: MailError.invalid(field: "settings.host")) { try await noHost.send(MailTests.plain) }
    }

    // MARK: What must never be sent

    @Test(arguments: ["\r\nBcc: all@shop.example", "\n", "\r", "\u{0}", "\u{1B}", "\u{7F}"])
    func `a header cannot be smuggled into any field`(_ poison: String) {
        let harmless = MailAttachment(fileName: "a", contentType: "a/b", contentID: "c@d", data: [])
        let edits: [(field: String, edit: (inout MailMessage) -> Void)] = [
            ("from.name", { $0.from.name! += poison }), ("from.address", { $0.from.address += poison }),
            ("to.name", { $0.to.name! += poison }), ("to.address", { $0.to.address += poison }),
            ("subject", { $0.subject += poison }), ("messageID", { $0.messageID += poison }),
            ("headers[0].name", { $0.headers = [MailHeader("X" + poison, "a")] }),
            ("headers[0].value", { $0.headers = [MailHeader("X", "é" + poison)] }),
            ("attachments[0].fileName", { $0.attachments[0].fileName += poison }),
            ("attachments[0].contentType", { $0.attachments[0].contentType += poison }),
            ("attachments[0].contentID", { $0.attachments[0].contentID! += poison }),
        ]
        for (field, edit) in edits {
            var message = MailTests.message(attachments: [harmless])
            #expect(throws: Never.self) { try message.rendered() }
            edit(&message)
            #expect(throws: MailError.invalid(field: field)) { try message.rendered() }
        }
    }

    @Test(arguments: [
        "", "ada", "@b.example", "a@", "a@b@c", "a b@c.example", "<a@b.example>", "a..b@c.example", ".a@b.example",
        "a@b..example", "a@-b.example", "ä@b.example", "a@b.example ", "a@[127.0.0.1]", "\"a\"@b.example",
        "a,b@c.example", String(repeating: "a", count: 65) + "@b.example",
    ])
    func `an address that is none is refused`(_ address: String) {
        #expect(!MailAddress(address).isValid)
    }

    @Test(arguments: ["a@b", "first.last+tag@sub.domain.example", "o'neill_x-1@xn--bcher-kva.example"])
    func `usual addresses are taken`(_ address: String) {
        #expect(MailAddress(address).isValid)
    }

    @Test(arguments: ["Bcc", "bcc", "To", "Content-Type", "MIME-Version", "", "a b", "a:"])
    func `a header of the mail's own, or with no proper name, cannot be added`(_ name: String) {
        let message = MailTests.message(headers: [MailHeader(name, "x")])
        #expect(throws: MailError.invalid(field: "headers[0].name")) { try message.rendered() }
    }
}

extension MailError {
    fileprivate var isTemporary: Bool {
        if case .temporary = self { true } else { false }
    }
}

@Suite struct FileMailerTests {
    @Test func `each mail becomes one file, also when it is sent again`() async throws {
        let parent = FileManager.default.temporaryDirectory.appending(path: "mail-\(UUID())")
        defer { try? FileManager.default.removeItem(at: parent) }
        let directory = parent.appending(path: "new/directory")
        let mailer: any Mailer = FileMailer(directory: directory.path)
        func files() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted() }
        var message = MailTests.message()
        try await mailer.send(message)
        message.subject = "again"
        message.date = .now
        try await mailer.send(message)
        #expect(try files() == ["mail_01h455vb4pex5vsknk084sn02q@shop.example.eml"])
        let rendered = try message.rendered()
        #expect(try [UInt8](Data(contentsOf: directory.appending(path: files()[0]))) == rendered)

        message.messageID = "../../escape@shop.example"
        try await mailer.send(message)
        #expect(try files().first == "%2e./../escape@shop.example.eml".replacing("/", with: "%2f"))
        #expect(try files().count == 2)

        let broken = MailTests.message(subject: "a\nb")
        await #expect(throws: MailError.invalid(field: "subject")) { try await mailer.send(broken) }
    }

    @Test func `a directory that cannot be written may be tried again`() async throws {
        let mailer = FileMailer(directory: "/proc/nowhere")
        let error = await #expect(throws: MailError.self) { try await mailer.send(MailTests.message()) }
        #expect(error?.isTemporary == true)
    }
}

import Contracts
import Foundation
import Values

/// A mail as another program reads it: Python's, which holds to the standards more than a mail of ours might.
struct Mail: Decodable, Sendable {
    struct Part: Decodable, Sendable {
        let type: String
        let id: String
        let name: String?
        let disposition: String?
        /// In base64.
        let data: String

        var bytes: Data { Data(base64Encoded: data) ?? Data() }
    }

    let file: String
    let to: String
    let from: String
    let subject: String
    let text: String
    let html: String
    let attachments: [Part]
    /// What is wrong with its form.
    let defects: [String]

    private static let reader = """
        import base64, email, email.policy, glob, json, sys
        mails = []
        for file in sorted(glob.glob(sys.argv[1] + '/*.eml')):
            with open(file, 'rb') as f:
                mail = email.message_from_binary_file(f, policy=email.policy.default)
            def body(kind):
                part = mail.get_body((kind,))
                return part.get_content() if part else ''
            parts = [p for p in mail.walk() if not p.is_multipart() and p.get_content_maintype() != 'text']
            mails.append({
                'file': file, 'to': mail['To'].addresses[0].addr_spec, 'from': str(mail['From']), 'subject': str(mail['Subject']),
                'text': body('plain'), 'html': body('html'),
                'attachments': [{
                    'type': p.get_content_type(), 'id': str(p['Content-ID'] or '').strip('<>'), 'name': p.get_filename(),
                    'disposition': p.get_content_disposition(), 'data': base64.b64encode(p.get_content()).decode()} for p in parts],
                'defects': [str(d) for p in mail.walk() for d in p.defects]
                    + [str(d) for h in mail.values() for d in getattr(h, 'defects', ())],
            })
        print(json.dumps(mails))
        """

    static func all(in folder: String) async throws -> [Mail] {
        let python = "\(RunningProgram.repository)/.venv/bin/python3"
        let run = try await ChildProcess.run(python, ["-c", reader, folder])
        guard run.end == .exit(0) else { throw ChildProcess.Failure(description: "a mail cannot be read: \(run.errors)") }
        return try JSON.value(from: run.output)
    }

    /// All orders that the texts of mails name. For more mails than one would hold in memory with their pictures.
    static func orders(in folder: String) async throws -> Set<String> {
        let reader = """
            import email, email.policy, glob, json, re, sys
            orders = set()
            for file in glob.glob(sys.argv[1] + '/*.eml'):
                with open(file, 'rb') as f:
                    text = email.message_from_binary_file(f, policy=email.policy.default).get_body(('plain',)).get_content()
                orders.update(re.findall('order_[0-9a-z]{26}', text))
            print(json.dumps(sorted(orders)))
            """
        let run = try await ChildProcess.run(
            "\(RunningProgram.repository)/.venv/bin/python3", ["-c", reader, folder], atMost: .seconds(600))
        guard run.end == .exit(0) else { throw ChildProcess.Failure(description: "a mail cannot be read: \(run.errors)") }
        return try JSON.value(from: run.output)
    }
}

extension RunningProgram {
    func mails(to address: String) async throws -> [Mail] {
        try await Mail.all(in: "\(data)/mail").filter { $0.to.lowercased() == address.lowercased() }
    }
}

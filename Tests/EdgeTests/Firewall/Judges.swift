import BorderGateway
import Firewall
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Testing

/// The rule set as the gateway uses it, and the fast check before it.
struct Judges {
    static let folder = "/usr/share/modsecurity-crs"
    private static let atOnce = 8

    /// Reading the rules takes its time.
    static let shared = Result { try Judges() }

    let check = FastCheck()
    private let pool: RuleSetPool

    private init() throws {
        pool = try RuleSetPool(folder: Judges.folder, exceptions: Firewall.exceptions, threads: 2, mostWaiting: 1_000)
    }

    func verdict(on request: WebRequest) async throws -> Verdict {
        try await pool.judge(request, until: .now() + .minutes(5), on: MultiThreadedEventLoopGroup.singleton.any()).get()
    }

    /// How long a verdict takes, whatever else the machine does before and after.
    func time(on request: WebRequest) async throws -> TimeAmount {
        try await pool.load()
        let start = NIODeadline.now()
        return try await pool.judge(request, until: .now() + .minutes(5), on: MultiThreadedEventLoopGroup.singleton.any())
            .map { _ in .now() - start }.get()
    }

    /// The verdicts on many, in their order.
    func verdicts(on requests: [WebRequest]) async throws -> [Verdict] {
        try await withThrowingTaskGroup(of: (Int, Verdict).self) { group in
            var verdicts = [Verdict?](repeating: nil, count: requests.count)
            var next = 0
            func add() {
                guard next < requests.count else { return }
                let (index, request) = (next, requests[next])
                next += 1
                group.addTask { (index, try await verdict(on: request)) }
            }
            for _ in 0..<Judges.atOnce { add() }
            while let (index, verdict) = try await group.next() {
                verdicts[index] = verdict
                add()
            }
            return verdicts.compactMap { $0 }
        }
    }

    /// Whether the fast check lets it pass.
    /// - Parameter known: heads that the rule set has let pass before.
    func passes(_ request: WebRequest, known: Set<FastCheck.Oddities> = []) -> Bool {
        let oddities = check.oddities(request.headers)
        return check.passes(target: request.target) && check.passes(body: ByteBuffer(bytes: request.body))
            && (oddities.isEmpty || known.contains(oddities))
    }
}

extension WebRequest {
    static func get(_ target: String, _ fields: [(name: String, value: String)] = []) -> WebRequest {
        WebRequest(method: "GET", target: target, fields: [(name: "host", value: "tickets.example.org")] + fields)
    }

    static func send(
        _ target: String, _ body: String, type: String = "application/json", method: String = "POST"
    ) -> WebRequest {
        let about = [
            (name: "host", value: "tickets.example.org"), (name: "content-type", value: type),
            (name: "content-length", value: "\(body.utf8.count)"),
        ]
        return WebRequest(method: method, target: target, fields: about, body: Array(body.utf8))
    }

    var headers: HTTPHeaders { HTTPHeaders(fields.map { ($0.name, $0.value) }) }
    /// For whoever looks for what went wrong.
    var summary: String { "\(method) \(target) \(fields) \(String(decoding: body, as: UTF8.self))" }
}

extension String {
    /// Every byte of it escaped.
    var percentEncoded: String {
        utf8.map { "%" + String($0 >> 4, radix: 16, uppercase: true) + String($0 & 15, radix: 16, uppercase: true) }.joined()
    }

    /// As a string of JSON.
    var quoted: String {
        let escaped = unicodeScalars.map { scalar in
            switch scalar {
            case "\"": "\\\""
            case "\\": "\\\\"
            case let control where control.value < 0x20:
                "\\u00" + String(control.value >> 4, radix: 16) + String(control.value & 15, radix: 16)
            default: String(scalar)
            }
        }
        return "\"\(escaped.joined())\""
    }
}

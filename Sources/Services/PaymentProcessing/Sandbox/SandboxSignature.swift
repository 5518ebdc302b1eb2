import Crypto
import FoundationEssentials
import Values

/// Signs webhooks as Stripe does: `t=SECONDS,v1=HEX`, HMAC-SHA256 over the time, a dot and the body.
struct SandboxSignature: Sendable {
    /// How far the time may be off, so that a webhook that somebody recorded is worth nothing later.
    static let tolerance = TimeSpan.minutes(5)

    private let key: SymmetricKey

    init(key: [UInt8]) {
        self.key = SymmetricKey(data: key)
    }

    func sign(_ body: [UInt8], at now: Instant) -> String {
        let code = HMAC<SHA256>.authenticationCode(for: message(now.seconds, body), using: key)
        return "t=\(now.seconds),v1=\(code.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined())"
    }

    /// In the same time for every wrong code.
    func accepts(_ header: String?, for body: [UInt8], at now: Instant) -> Bool {
        guard let header, header.utf8.count <= 500 else { return false }
        var seconds: Int64?
        var codes: [[UInt8]] = []
        for field in header.split(separator: ",") {
            let parts = field.split(separator: "=", maxSplits: 1)
            guard parts.count == 2 else { return false }
            if parts[0] == "t" { seconds = Int64(parts[1]) }
            if parts[0] == "v1", let code = SandboxSignature.bytes(ofHex: parts[1]) { codes.append(code) }
        }
        guard let seconds, abs(Double(seconds) - Double(now.seconds)) <= SandboxSignature.tolerance.seconds else { return false }
        let message = message(seconds, body)
        return codes.contains { HMAC<SHA256>.isValidAuthenticationCode(Data($0), authenticating: message, using: key) }
    }

    private func message(_ seconds: Int64, _ body: [UInt8]) -> Data {
        Data("\(seconds).".utf8) + Data(body)
    }

    private static func bytes(ofHex text: Substring) -> [UInt8]? {
        let digits = text.utf8.map { Character(Unicode.Scalar($0)).hexDigitValue.map(UInt8.init) }
        guard digits.count % 2 == 0, digits.allSatisfy({ $0 != nil }) else { return nil }
        return stride(from: 0, to: digits.count, by: 2).map { (digits[$0] ?? 0) << 4 | (digits[$0 + 1] ?? 0) }
    }
}

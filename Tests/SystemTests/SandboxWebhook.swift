import Contracts
import Crypto
import Discovery
import Foundation
import HTTPTypes
import Values

/// A webhook as the sandbox sends it: signed with the secret of the data folder.
struct SandboxWebhook: Encodable, Sendable {
    var id: String
    var type: String
    var attemptId: AttemptID?
    var chargeId: String?
    var amount: Money?
    var failure: String?

    static func succeeded(_ attempt: AttemptID, _ amount: Money, id: String = "evt_test_\(UUID().uuidString)") -> SandboxWebhook {
        SandboxWebhook(id: id, type: "charge.succeeded", attemptId: attempt, chargeId: "ch_test", amount: amount)
    }

    static func failed(_ attempt: AttemptID, id: String = "evt_test_\(UUID().uuidString)") -> SandboxWebhook {
        SandboxWebhook(id: id, type: "charge.failed", attemptId: attempt, chargeId: "ch_test", failure: "card-declined")
    }
}

extension RunningProgram {
    /// - Parameter secret: of the data folder if it is not said.
    func deliver(_ webhook: SandboxWebhook, at time: Instant = .now, secret: [UInt8]? = nil) async throws -> Answer {
        let body = try JSON.bytes(of: webhook)
        let key: [UInt8]
        if let secret {
            key = secret
        } else {
            let text = ChildProcess.text(of: "\(data)/secrets/sandbox-webhook").trimmingCharacters(in: .whitespacesAndNewlines)
            key = Array(Data(base64Encoded: text) ?? Data())
        }
        let code = HMAC<SHA256>.authenticationCode(
            for: Data("\(time.seconds).".utf8) + Data(body), using: SymmetricKey(data: key))
        let hex = code.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        return try await send(
            .post, "/api/v1/webhooks/sandbox",
            headers: ["Content-Type": "application/json", "Sandbox-Signature": "t=\(time.seconds),v1=\(hex)"], bytes: body)
    }
}

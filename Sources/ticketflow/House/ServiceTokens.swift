import Contracts
import Discovery
import FoundationEssentials
import HTTPTypes
import ServiceKit

/// How the services of this process get at what Authentication issues.
struct ServiceTokens {
    let transport: any Transport

    /// Verifies tokens with Authentication's published keys.
    /// - Parameter takesKeys: whether API keys are exchanged for tokens, as at the front door.
    func verifier(takesKeys: Bool) -> IdentityVerifier {
        let authentication = PeerClient(service: .authentication, transport: transport, ownToken: { "" })
        let exchange: @Sendable (String) async throws -> String = { key in
            let route = AuthenticationRoutes.keyToken
            return try await authentication.call(route, as: .nobody, body: KeyExchange(key: key), answer: IssuedToken.self).accessToken
        }
        let fetchKeys: @Sendable () async throws -> String = { [transport] in
            let route = AuthenticationRoutes.jwks
            let answer = try await transport.send(
                PeerRequest(method: route.method, target: route.path, headers: [:], body: [], isRepeatable: true), to: .authentication)
            guard answer.status == 200 else { throw Problem.unavailable("The signing keys cannot be read at the moment.") }
            return String(decoding: answer.body, as: UTF8.self)
        }
        return IdentityVerifier(exchange: takesKeys ? exchange : nil, fetchKeys: fetchKeys)
    }

    /// The token of a service, for its secret.
    func token(of service: ServiceName, _ secrets: Secrets) throws -> OwnToken {
        let secret = Data(try secrets.findOrMake("service-\(service)")).base64EncodedString()
        let authentication = PeerClient(service: .authentication, transport: transport, ownToken: { "" })
        return OwnToken {
            let token: IssuedToken = try await authentication.call(
                AuthenticationRoutes.serviceToken, as: .nobody,
                body: ServiceCredentials(service: service.description, secret: secret))
            return (token.accessToken, token.expiresAt)
        }
    }
}

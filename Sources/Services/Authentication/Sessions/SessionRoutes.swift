import Contracts
import Discovery
import HTTPTypes
import ServiceKit

/// Signing in and out.
struct SessionRoutes: Sendable {
    let signIn: SignIn

    var endpoints: [Endpoint] {
        [
            Endpoint(AuthenticationRoutes.login, login),
            Endpoint(AuthenticationRoutes.refresh, refresh),
            Endpoint(AuthenticationRoutes.logout, logout),
        ]
    }

    @Sendable func login(_ call: Call) async throws -> Reply {
        try .secret(try await signIn.login(try call.body()))
    }

    @Sendable func refresh(_ call: Call) async throws -> Reply {
        try .secret(try await signIn.refresh(try call.refreshToken))
    }

    /// The same for every token, known or not.
    @Sendable func logout(_ call: Call) async throws -> Reply {
        try await signIn.logout(try call.refreshToken)
        return .noContent
    }
}

extension Call {
    fileprivate var refreshToken: String {
        get throws {
            let token = try body(RefreshRequest.self).refreshToken
            guard token.utf8.count <= 200 else { throw Problem.invalid("refreshToken", "is not a refresh token") }
            return token
        }
    }
}

extension Reply {
    /// An answer with tokens in it, which no cache may keep (RFC 6749, section 5.1).
    static func secret(_ value: some Encodable) throws -> Reply { try ok(value).uncached }
}

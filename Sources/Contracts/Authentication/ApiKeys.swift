package import Discovery
package import Values

/// By which a program acts for a user.
package struct ApiKey: Codable, Hashable, Sendable {
    package var id: ApiKeyID
    /// What its user calls it.
    package var name: String
    package var scopes: [KeyScope]
    package var createdAt: Instant
    package var expiresAt: Instant?
    /// To the minute; nil where it never was.
    package var usedAt: Instant?

    package init(id: ApiKeyID, name: String, scopes: [KeyScope], createdAt: Instant, expiresAt: Instant?, usedAt: Instant?) {
        self.id = id
        self.name = name
        self.scopes = scopes
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.usedAt = usedAt
    }
}

package struct NewApiKey: Codable, Sendable {
    package var name: String
    package var scopes: [KeyScope]
    /// It never expires without.
    package var expiresAt: Instant?

    package init(name: String, scopes: [KeyScope], expiresAt: Instant? = nil) {
        self.name = name
        self.scopes = scopes
        self.expiresAt = expiresAt
    }
}

/// What making a key gives. Nothing tells the key again.
package struct MadeApiKey: Codable, Sendable {
    package var key: String
    package var apiKey: ApiKey

    package init(key: String, apiKey: ApiKey) {
        self.key = key
        self.apiKey = apiKey
    }
}

package struct KeyExchange: Codable, Sendable {
    package var key: String

    package init(key: String) {
        self.key = key
    }
}

package import Discovery
import Messaging

/// An account was made; its address waits to be verified.
package struct UserRegistered: DomainEvent {
    package static let name = "users.registered.v1"
    package var userId: UserID
    package var email: String
    package var name: String
    package var locale: String
    /// Goes into the link of the mail.
    package var verificationToken: String

    package init(userId: UserID, email: String, name: String, locale: String, verificationToken: String) {
        self.userId = userId
        self.email = email
        self.name = name
        self.locale = locale
        self.verificationToken = verificationToken
    }
}

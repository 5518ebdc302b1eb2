import Values

/// A mailbox: an address, and the name that mail programs show for it.
package struct MailAddress: Hashable, Sendable {
    /// Any text, or nil.
    package var name: String?
    /// As `EmailAddress` says what one is.
    package var address: String

    package init(name: String? = nil, _ address: String) {
        self.name = name
        self.address = address
    }

    package var isValid: Bool { EmailAddress.isValid(address) }
}

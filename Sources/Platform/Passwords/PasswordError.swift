/// Why a password could not be hashed.
package enum PasswordError: Error, Hashable, Sendable {
    /// Longer than ``PasswordHasher/maximumLength`` bytes of UTF-8.
    case tooLong
    /// The hash needs its whole memory (``PasswordHasher/Cost/memoryKiB``) at once, and the system did not give it.
    case outOfMemory
    /// libargon2 refused; its words. With a valid ``PasswordHasher/Cost`` this does not happen.
    case failed(String)
}

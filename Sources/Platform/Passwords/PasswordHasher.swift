internal import CArgon2
internal import Foundation
internal import NIOCore
internal import NIOPosix

/// Hashes passwords with argon2id and checks them against stored hashes.
///
/// A hash takes tens of milliseconds and megabytes on purpose. The actor is a thread of its own, so that hashing never
/// holds a thread of the cooperative pool, and one password is worked on at a time, so that a crowd of logins waits
/// instead of taking memory.
package actor PasswordHasher {
    /// Bytes of UTF-8. Far above any pass phrase; a bound only so that nobody sends megabytes to be hashed.
    package static let maximumLength = 1_024

    private static let saltLength = 16
    private static let hashLength = 32

    private nonisolated let group: MultiThreadedEventLoopGroup
    private nonisolated let loop: any EventLoop
    private nonisolated let cost: Cost
    private var decoy: String?

    package nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.executor.asUnownedSerialExecutor() }

    package init(cost: Cost = Cost()) {
        self.cost = cost
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        loop = group.next()
    }

    deinit {
        group.shutdownGracefully { _ in }
    }

    /// A hash with a new random salt, as a PHC string (`$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`) that holds all
    /// that ``verify(_:against:)`` needs, also after the cost has changed.
    package func hash(_ password: String) async throws(PasswordError) -> String {
        try hashNow(PasswordHasher.bytes(of: password))
    }

    /// Whether this is the password that `phc` was made from. False as well for a text that is no argon2id hash.
    ///
    /// With nil, for an account that does not exist, it is false after the same time as for a wrong password, so that
    /// nobody can tell from the clock which addresses have accounts.
    package func verify(_ password: String, against phc: String?) async -> Bool {
        guard let bytes = try? PasswordHasher.bytes(of: password) else { return false }
        guard let phc else {
            if decoy == nil { decoy = try? hashNow(PasswordHasher.bytes(of: "decoy")) }
            _ = verifyNow(bytes, against: decoy ?? "")
            return false
        }
        return verifyNow(bytes, against: phc)
    }

    /// Whether `phc` was made with another cost than this hasher's: hash the password anew at the next login, the only
    /// time it is known.
    package nonisolated func needsRehash(_ phc: String) -> Bool {
        let fields = phc.split(separator: "$", omittingEmptySubsequences: false)
        guard fields.count == 6, fields[0].isEmpty else { return true }
        return fields[1] != "argon2id" || fields[2] != "v=\(ARGON2_VERSION_13.rawValue)"
            || fields[3] != "m=\(cost.memoryKiB),t=\(cost.passes),p=\(cost.lanes)"
            || fields[4].utf8.count != 22 || fields[5].utf8.count != 43  // Salt and hash in unpadded base64.
    }

    /// NFC, as the OpaqueString profile of RFC 8265 says: the same letter typed on another system may come as other code
    /// points.
    private static func bytes(of password: String) throws(PasswordError) -> [UInt8] {
        guard password.utf8.count <= maximumLength else { throw .tooLong }
        if password.utf8.allSatisfy({ $0 < 0x80 }) { return Array(password.utf8) }
        return Array(password.precomposedStringWithCanonicalMapping.utf8)
    }

    private func hashNow(_ password: [UInt8]) throws(PasswordError) -> String {
        var random = SystemRandomNumberGenerator()
        let salt = (0..<PasswordHasher.saltLength).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        let length = argon2_encodedlen(
            cost.passes, cost.memoryKiB, cost.lanes, UInt32(PasswordHasher.saltLength),
            UInt32(PasswordHasher.hashLength), Argon2_id)
        var encoded = [CChar](repeating: 0, count: length)
        let status = unsafe argon2id_hash_encoded(
            cost.passes, cost.memoryKiB, cost.lanes, password, password.count, salt, salt.count,
            PasswordHasher.hashLength, &encoded, encoded.count)
        switch status {
        case ARGON2_OK.rawValue:
            return String(decoding: encoded.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        case ARGON2_MEMORY_ALLOCATION_ERROR.rawValue: throw .outOfMemory
        default: throw unsafe .failed(String(cString: argon2_error_message(status)))
        }
    }

    private func verifyNow(_ password: [UInt8], against phc: String) -> Bool {
        unsafe argon2id_verify(phc, password, password.count) == ARGON2_OK.rawValue
    }
}

extension PasswordHasher {
    /// What one hash costs. The default is the strength that the OWASP Password Storage Cheat Sheet names for argon2id.
    package struct Cost: Hashable, Sendable {
        /// Memory of one hash in KiB.
        package var memoryKiB: UInt32
        /// Times that the memory is gone over.
        package var passes: UInt32
        /// Threads that one hash uses.
        package var lanes: UInt32

        /// At least 8 KiB for each lane, one pass and one lane: less is raised to that, argon2's own minimum.
        package init(memoryKiB: UInt32 = 19 * 1_024, passes: UInt32 = 2, lanes: UInt32 = 1) {
            self.lanes = min(max(lanes, 1), 64)
            self.memoryKiB = max(memoryKiB, 8 * self.lanes)
            self.passes = max(passes, 1)
        }
    }
}

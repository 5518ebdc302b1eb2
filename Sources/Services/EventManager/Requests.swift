import Discovery
import HTTPTypes
import ServiceKit

extension Call {
    /// Refuses a change that was made on another state than the present one (RFC 9110, section 13.1.1). Without `If-Match`
    /// the last one wins.
    func requireMatch(_ etag: String) throws {
        guard let given = headers[.ifMatch] else { return }
        let tags = given.split(separator: ",").map { $0.drop { $0 == " " }.prefix { $0 != " " } }
        guard tags.contains("*") || tags.contains(Substring(etag)) else {
            throw Problem(
                412, "precondition-failed", "It was changed meanwhile", detail: "Read it again, and make the change on what it is now.")
        }
    }

    /// Where a key is welcome and not demanded.
    func optionalIdempotencyKey() throws -> IdempotencyKey? {
        headers[.idempotencyKey] == nil ? nil : try idempotencyKey()
    }
}

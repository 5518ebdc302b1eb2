import Contracts
import Discovery
import HTTPTypes
import Logging
import ServiceKit
import Storage
import Values

/// Coupons, for the organizer's staff; and whether a code applies, for anyone.
struct CouponRoutes {
    let database: Database
    let authentication: AuthenticationClient
    let logger: Logger

    var endpoints: [Endpoint] {
        [
            Endpoint(CouponManagerRoutes.coupons, list),
            Endpoint(CouponManagerRoutes.createCoupon, create),
            Endpoint(CouponManagerRoutes.coupon, read),
            Endpoint(CouponManagerRoutes.changeCoupon, change),
            Endpoint(CouponManagerRoutes.deactivateCoupon, deactivate),
            Endpoint(CouponManagerRoutes.validateCoupon, validate),
        ]
    }

    @Sendable func list(_ call: Call) async throws -> Reply {
        let limit = try call.limit
        let event = try call.query("event", as: EventID.self, "an event's id")
        let after = try call.query("after", as: CouponID.self, "the next of the page before")
        let status = try call.query("status").map { text in
            guard let status = Coupon.Status(rawValue: text) else { throw Problem.invalid("status", "must be active or inactive") }
            return status
        }
        let organizers = try await organizers(call)
        let coupons = try await database.read { tx in
            try CouponStore.list(of: organizers, event: event, status: status, after: after, limit: limit + 1, in: tx)
        }
        return try .ok(Page(coupons, limit: limit) { "\($0.id)" })
    }

    /// The one that is asked for, or all that the caller manages.
    private func organizers(_ call: Call) async throws -> [OrganizerID] {
        if let organizer = try call.query("organizer", as: OrganizerID.self, "an organizer's id") {
            try await authentication.require(.manager, of: organizer, for: call.identity, what: "organizer")
            return [organizer]
        }
        let user = try call.user
        if user.isAdmin { throw Problem.invalid("organizer", "is needed from an administrator") }
        return try await authentication.memberships(of: user.id).filter { $0.role.covers(.manager) }.map(\.organizerId)
    }

    @Sendable func create(_ call: Call) async throws -> Reply {
        let new = try call.body(NewCoupon.self)
        var validation = Validation()
        let code = CouponCode(new.code)
        validation.check(
            code != nil, "code",
            "must be 1 to \(CouponCode.longest) letters A to Z, digits, dots, hyphens or underscores, beginning with a letter or a digit")
        guard let code else {
            try validation.end()
            throw Problem.badRequest("The code cannot be read.")
        }
        let coupon = Coupon(new, code: code, id: CouponID(), createdAt: .now)
        validation.coupon(coupon)
        try validation.end()
        try await authentication.require(.manager, of: new.organizerId, for: call.identity, what: "organizer")
        let actor = "\(try call.user.id)"
        try await database.write { tx in
            guard try CouponStore.insert(coupon, by: actor, in: tx) else { throw Problem.couponCodeTaken(coupon.code) }
        }
        logger.info("a coupon was created", metadata: ["coupon": "\(coupon.id)", "organizer": "\(coupon.organizerId)"])
        var reply = try Reply.created(coupon, at: CouponManagerRoutes.coupon.path(["\(coupon.id)"]))
        reply.headers[.eTag] = coupon.etag
        return reply
    }

    @Sendable func read(_ call: Call) async throws -> Reply {
        let coupon = try await coupon(call)
        return try .ok(coupon, etag: coupon.etag)
    }

    @Sendable func change(_ call: Call) async throws -> Reply {
        let change = try call.body(CouponChange.self)
        let id = try await coupon(call).id
        let actor = "\(try call.user.id)"
        let ifMatch = call.headers[.ifMatch]
        let changed = try await database.write { tx in
            guard let usage = try CouponUsage(id, in: tx) else { throw Problem.notFound("coupon") }
            try usage.coupon.requireMatch(ifMatch)
            var coupon = usage.coupon.applying(change)
            guard coupon != usage.coupon else { return coupon }
            var validation = Validation()
            validation.coupon(coupon)
            try validation.end()
            let counted = coupon.reserved + coupon.redeemed - coupon.overLimit
            if let most = coupon.maxRedemptions, most < counted { throw Problem.couponLimitBelowUses(counted) }
            coupon.version += 1
            try CouponStore.update(coupon, by: actor, reason: "changed", in: tx)
            return coupon
        }
        logger.info("a coupon was changed", metadata: ["coupon": "\(id)", "version": "\(changed.version)"])
        return try .ok(changed, etag: changed.etag)
    }

    /// Reserved uses stay: the carts that have them were promised the discount.
    @Sendable func deactivate(_ call: Call) async throws -> Reply {
        let id = try await coupon(call).id
        let actor = "\(try call.user.id)"
        let ifMatch = call.headers[.ifMatch]
        let changed = try await database.write { tx in
            guard let usage = try CouponUsage(id, in: tx) else { throw Problem.notFound("coupon") }
            try usage.coupon.requireMatch(ifMatch)
            guard usage.coupon.status == .active else { return usage.coupon }
            var coupon = usage.coupon
            coupon.status = .inactive
            coupon.version += 1
            try CouponStore.update(coupon, by: actor, reason: "deactivated", in: tx)
            return coupon
        }
        logger.info("a coupon was deactivated", metadata: ["coupon": "\(id)"])
        return try .ok(changed, etag: changed.etag)
    }

    /// The same work and the same answer for whatever does not apply, so that codes cannot be found out by asking.
    @Sendable func validate(_ call: Call) async throws -> Reply {
        let question = try call.body(CouponQuestion.self)
        var validation = Validation()
        validation.lines(question.lines)
        try validation.end()
        let code = CouponCode(question.code) ?? .nobodys
        let verdict = try await database.read { tx in
            let coupon = try CouponStore.find(code, of: question.organizerId, in: tx)
            let now = try tx.now
            let off = (coupon?.terms ?? .none)
                .discounts(on: question.lines, of: question.eventId, in: question.currency).reduce(0, +)
            guard let coupon, coupon.isValid(at: now), coupon.hasUseLeft, off > 0 else { return CouponVerdict(applies: false) }
            return CouponVerdict(applies: true, discount: Money(off, question.currency))
        }
        return try .ok(verdict)
    }

    /// The coupon that the path names, for who may manage it.
    private func coupon(_ call: Call) async throws -> Coupon {
        let id: CouponID = try call.id("id")
        guard let coupon = try await database.read({ tx in try CouponStore.find(id, in: tx) }) else {
            // Asked in vain, so that a coupon that is not there takes as long as one that is somebody else's.
            try await authentication.require(.manager, of: OrganizerID(), for: call.identity, what: "coupon")
            throw Problem.notFound("coupon")
        }
        try await authentication.require(.manager, of: coupon.organizerId, for: call.identity, what: "coupon")
        return coupon
    }
}

extension Coupon {
    var etag: String { "\"\(version)\"" }

    /// A missing `If-Match` matches.
    func requireMatch(_ ifMatch: String?) throws {
        guard let ifMatch, ifMatch != "*" else { return }
        let tags = ifMatch.split(separator: ",").map { $0.filter { !$0.isWhitespace } }
        guard tags.contains(etag) else {
            throw Problem(
                412, "precondition-failed", "It was changed meanwhile",
                detail: "If-Match is not the ETag that it has now; read it again, and repeat the change on that.")
        }
    }
}

extension Problem {
    static func couponCodeTaken(_ code: String) -> Problem {
        .conflict("coupon-code-taken", "There is a coupon of this code already", "The organizer has a coupon \(code); take another code.")
    }

    static func couponLimitBelowUses(_ uses: Int64) -> Problem {
        .conflict(
            "limit-below-uses", "The limit is below what is used already",
            "\(uses) uses are reserved or redeemed; maxRedemptions cannot be less.")
    }
}

import Contracts
import Discovery
import Logging
import ServiceKit
import Storage
import Values

/// What SalesManager does with uses of coupons. Each operation may be repeated: its own state says what was done.
struct CouponUseRoutes {
    let database: Database
    let faults: Faults
    let logger: Logger

    var endpoints: [Endpoint] {
        [
            Endpoint(CouponManagerRoutes.reserveUse, reserve),
            Endpoint(CouponManagerRoutes.use, read),
            Endpoint(CouponManagerRoutes.evaluateUse, evaluate),
            Endpoint(CouponManagerRoutes.bindUse, bind),
            Endpoint(CouponManagerRoutes.redeemUse, redeem),
            Endpoint(CouponManagerRoutes.releaseUse, release),
        ]
    }

    @Sendable func reserve(_ call: Call) async throws -> Reply {
        let request = try call.body(NewCouponUse.self)
        var validation = Validation()
        validation.lines(request.lines)
        validation.check(request.expiresAt.isPlausible, "expiresAt", "must be in a year from 2000 to 2200")
        try validation.end()
        let id = CouponUseID()
        let use = try await database.write { tx in
            guard let code = CouponCode(request.code), var usage = try CouponUsage(code, of: request.organizerId, in: tx) else {
                throw Problem.couponNotApplicable
            }
            return try usage.reserve(request, as: id).answer(code: usage.coupon.code)
        }
        try await faults.point("coupons.use-reserved")
        logger.info("a coupon was reserved", metadata: ["coupon": "\(use.couponId)", "use": "\(use.id)", "cart": "\(request.cartId)"])
        return try .created(use, at: CouponManagerRoutes.use.path(["\(use.id)"]))
    }

    @Sendable func read(_ call: Call) async throws -> Reply {
        let id: CouponUseID = try call.id("id")
        let use = try await database.read { tx in
            guard var use = try CouponUseStore.find(id, in: tx), let coupon = try CouponStore.find(use.couponId, in: tx) else {
                throw Problem.notFound("coupon use")
            }
            if use.state == .reserved, use.expiresAt <= (try tx.now) { use.state = .released }
            return use.answer(code: coupon.code)
        }
        return try .ok(use)
    }

    @Sendable func evaluate(_ call: Call) async throws -> Reply {
        let id: CouponUseID = try call.id("id")
        let lines = try call.body(CouponUseLines.self).lines
        var validation = Validation()
        validation.lines(lines)
        try validation.end()
        return try .ok(try await use(id) { usage in try usage.evaluate(id, on: lines) })
    }

    @Sendable func bind(_ call: Call) async throws -> Reply {
        let id: CouponUseID = try call.id("id")
        let binding = try call.body(CouponUseBinding.self)
        var validation = Validation()
        validation.text(binding.email, "email", atMost: 254)
        validation.check(binding.expiresAt.isPlausible, "expiresAt", "must be in a year from 2000 to 2200")
        try validation.end()
        let use = try await use(id) { usage in try usage.bind(id, binding) }
        try await faults.point("coupons.use-bound")
        return try .ok(use)
    }

    @Sendable func redeem(_ call: Call) async throws -> Reply {
        let id: CouponUseID = try call.id("id")
        let use = try await use(id) { usage in try usage.redeem(id) }
        logger.info(
            "a coupon was redeemed",
            metadata: ["coupon": "\(use.couponId)", "use": "\(use.id)", "overLimit": "\(use.overLimit)"])
        return try .ok(use)
    }

    @Sendable func release(_ call: Call) async throws -> Reply {
        let id: CouponUseID = try call.id("id")
        try await database.write { tx in
            guard var usage = try CouponUsage(of: id, in: tx) else { throw Problem.notFound("coupon use") }
            try usage.release(id)
        }
        return .noContent
    }

    private func use(
        _ id: CouponUseID, _ change: @escaping @Sendable (inout CouponUsage) throws -> CouponUseRecord
    ) async throws -> CouponUse {
        try await database.write { tx in
            guard var usage = try CouponUsage(of: id, in: tx) else { throw Problem.notFound("coupon use") }
            return try change(&usage).answer(code: usage.coupon.code)
        }
    }
}

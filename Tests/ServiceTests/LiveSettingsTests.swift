import Configuration
import Logging
import Mail
import ServiceKit
import Testing
import Values

@testable import Authentication
@testable import EventManager
@testable import Notification
@testable import PaymentProcessing
@testable import SalesAnalytics
@testable import SalesManager
@testable import TicketManager

/// Settings that change while a service runs: each comes into force by itself, and a wrong one does not.
@Suite("Live settings") struct LiveSettingsTests {
    /// A setting, what it becomes, how that shows, and what it cannot be.
    struct Change: Sendable, CustomTestStringConvertible {
        let key: String
        let value: ConfigContent
        let wrong: ConfigContent
        let show: @Sendable (ConfigSnapshotReader) throws -> String
        let shown: String

        var testDescription: String { key }
    }

    private static func change<Configuration>(
        _ make: @escaping @Sendable (ConfigSnapshotReader) throws -> Configuration, _ key: String, _ value: ConfigContent,
        _ wrong: ConfigContent, _ show: @escaping @Sendable (Configuration) -> Any, _ shown: String
    ) -> Change {
        Change(key: key, value: value, wrong: wrong, show: { "\(show(try make($0)))" }, shown: shown)
    }

    private static func seconds(_ seconds: Int64) -> String { "\(TimeSpan.seconds(seconds))" }

    static let all = [
        change(TicketManagerConfiguration.init, "hold.seconds", .int(30), .int(0), { $0.holdTime }, seconds(30)),
        change(TicketManagerConfiguration.init, "sweep.seconds", .int(7), .string("soon"), { $0.sweepInterval }, seconds(7)),
        change(SalesManagerConfiguration.init, "cart.seconds", .int(31), .int(3_601), { $0.cartTime }, seconds(31)),
        change(SalesManagerConfiguration.init, "order.seconds", .int(32), .int(0), { $0.orderTime }, seconds(32)),
        change(SalesManagerConfiguration.init, "order.holdMarginSeconds", .int(33), .int(-1), { $0.holdMargin }, seconds(33)),
        change(SalesManagerConfiguration.init, "reconcile.seconds", .int(34), .bool(true), { $0.reconcileInterval }, seconds(34)),
        change(PaymentProcessingConfiguration.init, "providers", .stringArray([]), .stringArray(["unknown"]), { $0.providers }, "[]"),
        change(PaymentProcessingConfiguration.init, "manual.account", .string("DE02"), .int(2), { $0.manualAccount }, "DE02"),
        change(PaymentProcessingConfiguration.init, "provider.milliseconds", .int(35_000), .int(0), { $0.providerTime }, seconds(35)),
        change(PaymentProcessingConfiguration.init, "lookup.seconds", .int(36), .int(-1), { $0.lookupInterval }, seconds(36)),
        change(PaymentProcessingConfiguration.init, "announce.seconds", .int(37), .int(-1), { $0.announceInterval }, seconds(37)),
        change(PaymentProcessingConfiguration.init, "attempts.most", .int(38), .int(0), { $0.mostAttempts }, "38"),
        change(
            NotificationConfiguration.init, "publicURL", .string("https://x.example"), .string("ftp://x"), { $0.publicURL },
            "https://x.example"),
        change(NotificationConfiguration.init, "mail.from", .string("a@b.example"), .string("nobody"), { $0.from.address }, "a@b.example"),
        change(NotificationConfiguration.init, "mail.fromName", .string("Somebody"), .int(1), { $0.from.name ?? "" }, "Somebody"),
        change(NotificationConfiguration.init, "mail.lease.seconds", .int(39), .int(0), { $0.lease }, seconds(39)),
        change(NotificationConfiguration.init, "mail.concurrency", .int(3), .int(33), { $0.concurrency }, "3"),
        change(NotificationConfiguration.init, "mail.perSecond", .int(40), .int(0), { $0.perSecond }, "40"),
        change(NotificationConfiguration.init, "mail.directory", .string("/other"), .int(1), { $0.way == .files("/other") }, "true"),
        change(
            NotificationConfiguration.init, "smtp.host", .string("mail.example"), .int(1),
            { if case .smtp(let to) = $0.way { to.host } else { "" } }, "mail.example"),
        change(EventManagerConfiguration.init, "organizers.per.user", .int(41), .int(0), { $0.organizersPerUser }, "41"),
        change(EventManagerConfiguration.init, "cancellation.retry.seconds", .int(42), .int(0), { $0.cancellationRetry }, seconds(42)),
        change(EventManagerConfiguration.init, "owner.retry.seconds", .int(43), .int(0), { $0.ownerRetry }, seconds(43)),
        change(EventManagerConfiguration.init, "completion.seconds", .int(44), .int(0), { $0.completion }, seconds(44)),
        change(AuthenticationConfiguration.init, "access.token.seconds", .int(145), .int(1), { $0.accessTokenLifetime }, seconds(145)),
        change(
            AuthenticationConfiguration.init, "refresh.token.days", .int(46), .int(0), { $0.refreshTokenLifetime }, "\(TimeSpan.days(46))"),
        change(AuthenticationConfiguration.init, "login.failures", .int(47), .int(0), { $0.loginFailures }, "47"),
        change(AuthenticationConfiguration.init, "login.window.seconds", .int(48), .int(0), { $0.loginWindow }, seconds(48)),
        change(SalesAnalyticsConfiguration.init, "reports.days", .int(49), .int(0), { $0.defaultPeriod }, "\(TimeSpan.days(49))"),
    ]

    @Test(arguments: all)
    func `a setting comes into force while the service runs, and a wrong one leaves it`(_ change: Change) async throws {
        let key = AbsoluteConfigKey(change.key.split(separator: ".").map(String.init))
        let provider = MutableInMemoryProvider(initialValues: [:])
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let watch = SettingsWatch(ConfigReader(provider: provider), logger: logger)
        let settings = try watch.follow { try change.show($0) }
        #expect(settings.current != change.shown, "the change would not show")
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await watch.run() }
            provider.setValue(ConfigValue(change.value, isSecret: false), forKey: key)
            try await eventually(within: patience, "the change comes into force") { settings.current == change.shown }
            provider.setValue(ConfigValue(change.wrong, isSecret: false), forKey: key)
            // Seen, and refused: another setting that comes later is in force, but for this one.
            let other = try watch.follow { $0.int(forKey: "other", default: 0) }
            provider.setValue(ConfigValue(.int(1), isSecret: false), forKey: ["other"])
            try await eventually(within: patience, "another change comes into force") { other.current == 1 }
            #expect(settings.current == change.shown)
            provider.setValue(nil, forKey: key)
            try await eventually(within: patience, "without it the default is in force again") { settings.current != change.shown }
            group.cancelAll()
        }
    }

    @Test(arguments: all)
    func `a service does not start with a setting that cannot be meant`(_ change: Change) throws {
        let key = AbsoluteConfigKey(change.key.split(separator: ".").map(String.init))
        let reader = ConfigReader(provider: InMemoryProvider(values: [key: ConfigValue(change.wrong, isSecret: false)]))
        #expect(throws: (any Error).self) { try change.show(reader.snapshot()) }
    }
}

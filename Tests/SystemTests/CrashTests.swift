import Contracts
import Discovery
import Foundation
import Storage
import Synchronization
import Testing
import Values

extension WholeSystem {
    /// The process is killed again and again while people buy. Nothing that was answered may be lost, nothing may be done twice.
    @Suite struct CrashTests {
        /// How often it is killed: `TICKETFLOW_SOAK`, 20 if it is not said. So often that every point has its turn.
        private static let rounds = max(
            points.count * 3 / 2, ProcessInfo.processInfo.environment["TICKETFLOW_SOAK"].flatMap { Int($0) } ?? 20)

        /// Between two durable steps of a purchase, where a crash is most interesting.
        private static let points = [
            "sales.order-committed", "sales.hold-bound", "payments.attempt-committed", "payments.provider-called", "sales.payment-created",
            "sales.captured", "sales.fulfilled", "sales.paid", "coupons.use-reserved", "coupons.use-bound", "payments.event-stored",
            "notification.mail-composed", "notification.mail-sent",
        ]

        /// Short times, so that every order's end is near.
        static let settings = [
            "TICKETFLOW_SALES_MANAGER_CART_SECONDS": "8", "TICKETFLOW_SALES_MANAGER_ORDER_SECONDS": "6",
            "TICKETFLOW_SALES_MANAGER_ORDER_HOLD_MARGIN_SECONDS": "2", "TICKETFLOW_SALES_MANAGER_RECONCILE_SECONDS": "1",
            "TICKETFLOW_TICKET_MANAGER_SWEEP_SECONDS": "1", "TICKETFLOW_PAYMENT_PROCESSING_LOOKUP_SECONDS": "1",
            "TICKETFLOW_PAYMENT_PROCESSING_PROVIDER_MILLISECONDS": "2000", "TICKETFLOW_PAYMENT_PROCESSING_ANNOUNCE_SECONDS": "1",
            "TICKETFLOW_NOTIFICATION_MAIL_LEASE_SECONDS": "2",
        ]

        @Test
        func `whenever the process is killed while people buy, its books add up afterwards and every order ends as it was answered`()
            async throws
        {
            try await withProgram(CrashTests.settings) { program in
                let market = try await Market(program)
                try await program.expectCleanBooksWhenStopped("before the first crash")
                for round in 1...CrashTests.rounds {
                    // Every third crash is at any moment, the others at a point.
                    let time = Duration.milliseconds(Int.random(in: 50...900))
                    if round.isMultiple(of: 3) {
                        try await program.start(["TICKETFLOW_FAULTS": ""])
                        try await market.open(for: time)
                        try await program.kill9()
                        try await program.expectCleanBooks("after crash \(round) of \(CrashTests.rounds), after \(time)")
                    } else {
                        let point = CrashTests.points[(round - round / 3 - 1) % CrashTests.points.count]
                        try await crash(at: point, program, market)
                        try await program.expectCleanBooks("after crash \(round) of \(CrashTests.rounds), at \(point)")
                    }
                }
                try await program.start(["TICKETFLOW_FAULTS": ""])
                try await market.expectEverythingHasEnded()
                try await program.stop()
                try await program.expectCleanBooks("at the end")
                try await market.expectNothingTwice()
            }
        }

        private func crash(at point: String, _ program: RunningProgram, _ market: Market) async throws {
            do {
                try await program.start(["TICKETFLOW_FAULTS": "\(point)=crash:0.2"])
                // Every point is on the way of some purchases.
                try await market.open(for: .seconds(30))
            } catch let early as RunningProgram.EndedAtStart where early.end == .signal(SIGKILL) {
                // What the last crash left undone came to the point before any buyer did.
            }
            try #require(!program.isRunning, "nothing came to \(point)")
            try await program.died()
        }
    }
}

extension RunningProgram {
    /// Stops it first.
    fileprivate func expectCleanBooksWhenStopped(_ comment: Comment) async throws {
        try await stop()
        try await expectCleanBooks(comment)
    }
}

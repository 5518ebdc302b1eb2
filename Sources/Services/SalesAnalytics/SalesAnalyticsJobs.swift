import ServiceKit
import Storage
import Values

/// Forgets what is only needed while messages may still overtake each other.
struct SalesAnalyticsJobs {
    let database: Database

    var jobs: [Job] {
        let database = database
        return [
            Job("forget-old-orders", every: .hours(1)) {
                try await database.write { tx in try SaleStore.forgetOld(in: tx) }
            }
        ]
    }
}

import Messaging
import ServiceKit
import Values

/// Sends what is due: at once when there is something new, and on a timer what failed before or was left by another run.
struct NotificationJobs {
    let sender: DeliverySender
    let newDeliveries: Signal
    let configuration: LiveSettings<NotificationConfiguration>

    var jobs: [Job] {
        let sender = sender
        let newDeliveries = newDeliveries
        // One batch at a time: then a process that is asked to stop does so soon, and the wait between two bounds the rate.
        let configuration = configuration
        return [
            Job("send-mails", every: .milliseconds(Int64(1_000 * DeliverySender.batch / configuration.perSecond))) {
                if try await sender.sendDue() > 0 { return }
                await newDeliveries.wait(atMost: .seconds(1))
                _ = try await sender.sendDue()
            }
        ]
    }
}

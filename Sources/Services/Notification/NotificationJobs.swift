import Messaging
import ServiceKit
import Values

/// Sends what is due: at once when there is something new, and on a timer what failed before or was left by another run.
struct NotificationJobs {
    let sender: DeliverySender
    let newDeliveries: Signal

    var jobs: [Job] {
        let sender = sender
        let newDeliveries = newDeliveries
        return [
            // One batch at a time, so that a process that is asked to stop does so soon.
            Job("send-mails", every: .milliseconds(5)) {
                if try await sender.sendDue() > 0 { return }
                await newDeliveries.wait(atMost: .seconds(1))
                _ = try await sender.sendDue()
            }
        ]
    }
}

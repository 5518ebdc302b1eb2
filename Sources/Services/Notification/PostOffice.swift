import Mail
import ServiceKit
import Synchronization

/// The mailer for the settings as they are now. It stays as long as they do: it has a connection and a thread of its own.
final class PostOffice: Sendable {
    private let configuration: LiveSettings<NotificationConfiguration>
    private let current = Mutex<(way: NotificationConfiguration.Way, mailer: any Mailer)?>(nil)

    init(_ configuration: LiveSettings<NotificationConfiguration>) {
        self.configuration = configuration
    }

    var mailer: any Mailer {
        let way = configuration.way
        return current.withLock { current in
            if let current, current.way == way { return current.mailer }
            let mailer: any Mailer =
                switch way {
                case .smtp(let settings): SMTPMailer(settings)
                case .files(let directory): FileMailer(directory: directory)
                }
            current = (way, mailer)
            return mailer
        }
    }
}

package import Discovery
import HTTPTypes

package enum NotificationRoutes {
    package static let notifications = Route(.get, "/api/v1/notifications", .user)

    package static let all = [notifications]
}

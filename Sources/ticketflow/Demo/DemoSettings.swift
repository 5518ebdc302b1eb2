import Configuration
import Logging
import ServiceLifecycle

/// What `--demo` changes.
enum DemoSettings {
    static let flags: [AbsoluteConfigKey: ConfigValue] = [
        "demo": ConfigValue(.bool(true), isSecret: false)
    ]
}
enum DemoAccounts {
    static func introduction(_ address: String) -> String { "" }
}
struct DemoOnStart: Service {
    let house: House
    let ready: Readiness
    let logger: Logger
    func run() async throws { await ready.wait() }
}

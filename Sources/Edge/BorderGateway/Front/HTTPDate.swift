import Glibc
import Synchronization

/// The time as the field `Date` has it (RFC 9110, section 5.6.7), made once a second.
enum HTTPDate {
    private static let last = Mutex<(second: Int, text: String)>((0, ""))

    static var now: String {
        var second = time(nil)
        return last.withLock { last in
            if last.second == second { return last.text }
            var parts = tm()
            gmtime_r(&second, &parts)
            var text = [CChar](repeating: 0, count: 40)
            strftime(&text, text.count, "%a, %d %b %Y %H:%M:%S GMT", &parts)
            last = (second, String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
            return last.text
        }
    }
}

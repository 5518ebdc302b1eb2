import Glibc
import Synchronization

/// An instant as fields of HTTP have it (RFC 9110, section 5.6.7), in whole seconds.
package enum HTTPDate {
    private static let last = Mutex<(second: Int, text: String)>((0, ""))

    /// Made once a second.
    package static var now: String {
        let second = time(nil)
        return last.withLock { last in
            if last.second != second { last = (second, text(ofSecond: second)) }
            return last.text
        }
    }

    /// - Parameter second: since the beginning of 1970.
    package static func text(ofSecond second: Int) -> String {
        var second = second
        var parts = tm()
        gmtime_r(&second, &parts)
        // The program's locale is C's, whose names of days and months are the standard's.
        var text = [CChar](repeating: 0, count: 40)
        strftime(&text, text.count, "%a, %d %b %Y %H:%M:%S GMT", &parts)
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// The two encodings of a body (RFC 2045, 6.7 and 6.8).
enum MailBody {
    private static let lineEnd: [UInt8] = [13, 10]
    private static let base64Digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let hexDigits = Array("0123456789ABCDEF".utf8)

    /// One line of base64.
    static func base64(_ data: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity((data.count + 2) / 3 * 4)
        appendBase64(data[...], to: &output)
        return output
    }

    /// Lines of 76 columns.
    static func appendBase64Lines(_ data: [UInt8], to output: inout [UInt8]) {
        output.reserveCapacity(output.count + (data.count + 56) / 57 * 78)
        var start = 0
        while start < data.count {
            let end = min(start + 57, data.count)
            appendBase64(data[start..<end], to: &output)
            output += lineEnd
            start = end
        }
    }

    /// Text in lines of at most 76 columns. CRLF, CR and LF are all line ends, and become CRLF.
    static func appendQuotedPrintable(_ text: String, to output: inout [UInt8]) {
        let bytes = Array(text.utf8)
        output.reserveCapacity(output.count + bytes.count * 5 / 4)
        var column = 0
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            if byte == 10 || byte == 13 {
                if byte == 13, index < bytes.count, bytes[index] == 10 { index += 1 }
                output += lineEnd
                column = 0
                continue
            }
            let endsLine = index == bytes.count || bytes[index] == 10 || bytes[index] == 13
            let isLiteral =
                switch byte {
                case UInt8(ascii: "="): false
                case 33...126: true
                // Servers may strip white space at the end of a line.
                case 9, 32: !endsLine
                default: false
                }
            let width = isLiteral ? 1 : 3
            if column + width > MailHeaderText.columns - 1 {
                output.append(UInt8(ascii: "="))
                output += lineEnd
                column = 0
            }
            if isLiteral {
                output.append(byte)
            } else {
                output.append(UInt8(ascii: "="))
                output.append(hexDigits[Int(byte >> 4)])
                output.append(hexDigits[Int(byte & 15)])
            }
            column += width
        }
    }

    private static func appendBase64(_ data: ArraySlice<UInt8>, to output: inout [UInt8]) {
        var index = data.startIndex
        while index < data.endIndex {
            let rest = data.endIndex - index
            let second = rest > 1 ? data[index + 1] : 0
            let third = rest > 2 ? data[index + 2] : 0
            let bits = UInt32(data[index]) << 16 | UInt32(second) << 8 | UInt32(third)
            output.append(base64Digits[Int(bits >> 18)])
            output.append(base64Digits[Int(bits >> 12 & 63)])
            output.append(rest > 1 ? base64Digits[Int(bits >> 6 & 63)] : UInt8(ascii: "="))
            output.append(rest > 2 ? base64Digits[Int(bits & 63)] : UInt8(ascii: "="))
            index += 3
        }
    }
}

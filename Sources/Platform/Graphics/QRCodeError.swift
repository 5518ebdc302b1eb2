/// Why a text could not become a QR code.
package enum QRCodeError: Error, Hashable, Sendable {
    case empty
    /// The text has a NUL, which libqrencode takes for its end.
    case containsNUL
    /// More than version 40 holds at this correction level: 2,331 bytes at `medium`, or 3,391 digits and capital letters.
    case tooLong
    case outOfMemory
}

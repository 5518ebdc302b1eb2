internal import CQRencode
internal import Glibc

/// A QR code (ISO/IEC 18004): a square of dark and light modules that holds a text.
///
/// Digits and the capital alphanumeric set (`0-9 A-Z $%*+-./:` and space) take about two thirds of the room that other
/// text takes, so a code in that set gives a smaller square, which a door scanner reads faster.
package struct QRCode: Hashable, Sendable {
    /// How much of the square may be lost, and still be read.
    package enum Correction: Sendable {
        /// 7 percent.
        case low
        /// 15 percent: the usual choice on a screen or on paper.
        case medium
        /// 25 percent.
        case quartile
        /// 30 percent.
        case high

        fileprivate var level: QRecLevel {
            switch self {
            case .low: QR_ECLEVEL_L
            case .medium: QR_ECLEVEL_M
            case .quartile: QR_ECLEVEL_Q
            case .high: QR_ECLEVEL_H
            }
        }
    }

    /// Modules along each side, without the quiet zone: 21 to 177.
    package let size: Int
    private let modules: [Bool]

    /// The smallest square that holds the text. Capital and small letters stay as they are.
    package init(_ text: String, correction: Correction = .medium) throws(QRCodeError) {
        guard !text.isEmpty else { throw .empty }
        guard !text.utf8.contains(0) else { throw .containsNUL }
        let symbol = try EncodedSymbol(text, correction.level)
        size = symbol.width
        modules = symbol.modules()
    }

    /// Whether the module is dark. Columns and rows count from 0 at the upper left.
    package func isDark(column: Int, row: Int) -> Bool {
        modules[row * size + column]
    }
}

/// Owner of libqrencode's symbol.
@safe
private struct EncodedSymbol: ~Copyable {
    private let symbol: UnsafeMutablePointer<CQRencode.QRcode>

    init(_ text: String, _ level: QRecLevel) throws(QRCodeError) {
        // Mode 8 is only the fallback: libqrencode splits the text into runs of the densest mode that fits each.
        // Version 0 asks for the smallest; 1 keeps small letters small.
        guard let symbol = unsafe QRcode_encodeString(text, 0, level, QR_MODE_8, 1) else {
            throw errno == ERANGE ? .tooLong : .outOfMemory
        }
        unsafe self.symbol = unsafe symbol
    }

    deinit {
        unsafe QRcode_free(symbol)
    }

    var width: Int { unsafe Int(symbol.pointee.width) }

    /// Row by row. The lowest bit of libqrencode's byte is the colour; the others say what the module is for.
    func modules() -> [Bool] {
        let bytes = unsafe UnsafeBufferPointer(start: symbol.pointee.data, count: width * width)
        return unsafe bytes.map { $0 & 1 == 1 }
    }
}

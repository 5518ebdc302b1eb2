import Compression

extension QRCode {
    /// A PNG image of one bit per pixel, black on white.
    ///
    /// - Parameters:
    ///   - pixelsPerModule: the side of one module in pixels, 1 to 64; other values are taken as the nearer end.
    ///   - quietZone: modules left white on each side, at most 64. Readers want 4.
    package func png(pixelsPerModule: Int = 8, quietZone: Int = 4) -> [UInt8] {
        let scale = min(max(pixelsPerModule, 1), 64)
        let border = min(max(quietZone, 0), 64)
        let side = (size + 2 * border) * scale
        var png = PNGWriter()
        png.writeHeader(side: side)
        png.writeImage(scanlines(scale: scale, border: border, side: side))
        png.writeChunk("IEND", [])
        return png.bytes
    }

    /// PNG scanlines: a filter byte, then a bit for each pixel, 1 being white.
    ///
    /// Rows that repeat the one above use the filter "up" (2), whose bytes are then all zero: quick to make and to
    /// compress.
    private func scanlines(scale: Int, border: Int, side: Int) -> [UInt8] {
        let width = (side + 7) / 8
        let white = [0] + [UInt8](repeating: 0xFF, count: width)
        let repeated = [2] + [UInt8](repeating: 0, count: width)
        var lines: [UInt8] = []
        lines.reserveCapacity(side * (width + 1))
        func append(_ line: [UInt8], times: Int) {
            guard times > 0 else { return }
            lines += line
            for _ in 1..<times { lines += repeated }
        }
        append(white, times: border * scale)
        for row in 0..<size {
            var line = white
            for column in 0..<size where isDark(column: column, row: row) {
                let first = (border + column) * scale
                for pixel in first..<first + scale { line[1 + (pixel >> 3)] &= ~(0x80 >> UInt8(pixel & 7)) }
            }
            append(line, times: scale)
        }
        append(white, times: border * scale)
        return lines
    }
}

/// Chunks of a PNG file (ISO/IEC 15948): length, type, content, CRC of type and content.
private struct PNGWriter {
    private(set) var bytes: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

    /// One bit of gray, no interlacing.
    mutating func writeHeader(side: Int) {
        let side = PNGWriter.bigEndian(UInt32(side))
        writeChunk("IHDR", side + side + [1, 0, 0, 0, 0])
    }

    mutating func writeImage(_ scanlines: [UInt8]) {
        writeChunk("IDAT", Zlib.compressed(scanlines))
    }

    mutating func writeChunk(_ type: String, _ content: [UInt8]) {
        let checked = Array(type.utf8) + content
        bytes += PNGWriter.bigEndian(UInt32(content.count))
        bytes += checked
        bytes += PNGWriter.bigEndian(Zlib.checksum(checked))
    }

    private static func bigEndian(_ value: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
    }
}

internal import CZlib

/// The format of HTTP's content coding `gzip` (RFC 1952).
package enum Gzip {
    package struct Malformed: Error {}
    package struct TooLarge: Error {}

    /// `windowBits` of zlib for a gzip header instead of its own.
    private static let windowBits: Int32 = 15 + 16

    /// Quickly rather than as small as can be.
    package static func compressed(_ bytes: [UInt8]) -> [UInt8] {
        var stream = unsafe z_stream()
        var status = unsafe deflateInit2_(
            &stream, Z_BEST_SPEED, Z_DEFLATED, windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        precondition(status == Z_OK, "zlib could not begin: \(status)")
        defer { unsafe deflateEnd(&stream) }
        var input = bytes
        var output = [UInt8](repeating: 0, count: Int(unsafe deflateBound(&stream, uLong(bytes.count))))
        let capacity = output.count
        unsafe input.withUnsafeMutableBufferPointer { input in
            unsafe output.withUnsafeMutableBufferPointer { output in
                unsafe stream.next_in = input.baseAddress
                unsafe stream.avail_in = uInt(input.count)
                unsafe stream.next_out = output.baseAddress
                unsafe stream.avail_out = uInt(output.count)
                status = unsafe deflate(&stream, Z_FINISH)
            }
        }
        // With a buffer of deflateBound it ends at once.
        precondition(status == Z_STREAM_END, "zlib could not compress: \(status)")
        output.removeLast(capacity - Int(unsafe stream.total_out))
        return output
    }

    /// - Parameter limit: in bytes; a few of them may stand for very many.
    package static func plain(of bytes: [UInt8], atMost limit: Int) throws -> [UInt8] {
        var stream = unsafe z_stream()
        let begun = unsafe inflateInit2_(&stream, windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        precondition(begun == Z_OK, "zlib could not begin: \(begun)")
        defer { unsafe inflateEnd(&stream) }
        var input = bytes
        var result: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        try unsafe input.withUnsafeMutableBufferPointer { input in
            unsafe stream.next_in = input.baseAddress
            unsafe stream.avail_in = uInt(input.count)
            var status = Z_OK
            while status != Z_STREAM_END {
                let count = try unsafe piece.withUnsafeMutableBufferPointer { piece in
                    unsafe stream.next_out = piece.baseAddress
                    unsafe stream.avail_out = uInt(piece.count)
                    status = unsafe inflate(&stream, Z_NO_FLUSH)
                    guard status == Z_OK || status == Z_STREAM_END else { throw Malformed() }
                    return piece.count - Int(unsafe stream.avail_out)
                }
                guard result.count + count <= limit else { throw TooLarge() }
                result += piece.prefix(count)
                // All was read, and the end is not there.
                if count == 0, status == Z_OK { throw Malformed() }
            }
        }
        return result
    }
}

/// zlib's own format and checksum, of which PNG is made.
package enum Zlib {
    package static func compressed(_ bytes: [UInt8]) -> [UInt8] {
        var length = compressBound(uLong(bytes.count))
        var compressed = [UInt8](repeating: 0, count: Int(length))
        let status = unsafe compress2(&compressed, &length, bytes, uLong(bytes.count), Z_BEST_SPEED)
        // With a buffer of compressBound the only failure left is a refused allocation of 256 KiB.
        precondition(status == Z_OK, "zlib could not compress: \(status)")
        return Array(compressed.prefix(Int(length)))
    }

    /// CRC-32.
    package static func checksum(_ bytes: [UInt8]) -> UInt32 {
        UInt32(truncatingIfNeeded: unsafe crc32(0, bytes, uInt(bytes.count)))
    }
}

import Foundation
import FoundationXML
import Graphics
import TestServers
import Testing

@Suite struct QRCodeTests {
    /// What `zbarimg`, a program of other people, reads in the image.
    private static func read(_ png: [UInt8]) throws -> String {
        let file = FileManager.default.temporaryDirectory.appending(path: "qr-\(UUID()).png")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data(png).write(to: file)
        let reader = Process()
        reader.executableURL = URL(filePath: "/usr/bin/zbarimg")
        reader.arguments = ["--quiet", "--raw", "--oneshot", "-Sdisable", "-Sqrcode.enable", file.path]
        let output = Pipe()
        reader.standardOutput = output
        reader.standardError = FileHandle.nullDevice
        try reader.start()
        let text = try output.fileHandleForReading.readToEnd() ?? Data()
        reader.waitUntilExit()
        return String(decoding: text, as: UTF8.self).trimmingCharacters(in: .newlines)
    }

    @Test(arguments: [
        "TKT-01H455VB4PEX5VSKNK084SN02Q", "ticket_01h455vb4pex5vsknk084sn02q", "0", "12345678901234567890",
        "https://tickets.example/t/01H455VB4PEX5VSKNK084SN02Q?seat=Row%204&lang=de", "Straße 🎟️ مرحبا 漢字",
        String(repeating: "Long ", count: 200),
    ])
    func `another program reads the text from the PNG`(_ text: String) throws {
        #expect(try QRCodeTests.read(QRCode(text).png()) == text.trimmingCharacters(in: .newlines))
    }

    @Test(arguments: [
        (2, 4), (3, 4), (5, 2), (7, 4), (8, 4), (16, 8), (10, 1),
    ])
    func `it is readable at any scale`(pixels: Int, quietZone: Int) throws {
        let png = try QRCode("SCALE-\(pixels)").png(pixelsPerModule: pixels, quietZone: quietZone)
        #expect(try QRCodeTests.read(png) == "SCALE-\(pixels)")
    }

    @Test(arguments: [QRCode.Correction.low, .medium, .quartile, .high])
    func `each level of correction is readable`(_ correction: QRCode.Correction) throws {
        #expect(try QRCodeTests.read(QRCode("Correction", correction: correction).png()) == "Correction")
    }

    @Test func `with a seventh of it covered, the highest correction is still readable`() throws {
        let code = try QRCode("DAMAGED-TICKET-0123456789", correction: .high)
        // A sticker in the middle, drawn on the SVG, which also shows that the SVG holds the same square.
        let side = code.size + 8
        let sticker = #"<rect x="\#(side / 2 - 3)" y="\#(side / 2 - 3)" width="6" height="6" fill="white"/></svg>"#
        let svg = code.svg().replacing("</svg>", with: sticker)
        #expect(try QRCodeTests.read(QRCodeTests.rasterized(svg)) == "DAMAGED-TICKET-0123456789")
    }

    @Test func `the SVG holds the same square and says what it is`() throws {
        let code = try QRCode("https://tickets.example/t/abc")
        let svg = code.svg(title: "Ticket <1> & \"more\"")
        #expect(svg.contains(#"role="img""#))
        #expect(svg.contains("<title>Ticket &lt;1&gt; &amp; \"more\"</title>"))
        #expect(svg.components(separatedBy: "<path").count == 2)
        #expect(XMLParser(data: Data(svg.utf8)).parse())
        #expect(try QRCodeTests.read(QRCodeTests.rasterized(svg)) == "https://tickets.example/t/abc")
    }

    @Test func `capital letters and digits make a smaller square than small letters`() throws {
        let text = "TKT-01H455VB4PEX5VSKNK084SN02Q"
        #expect(try QRCode(text).size < QRCode(text.lowercased()).size)
    }

    @Test func `it has finder patterns in three corners`() throws {
        let code = try QRCode("CORNERS")
        let last = code.size - 1
        for (column, row) in [(0, 0), (last, 0), (0, last)] { #expect(code.isDark(column: column, row: row)) }
        #expect(code.isDark(column: 3, row: 3) && !code.isDark(column: 1, row: 1))
    }

    @Test func `what cannot be encoded says why`() {
        #expect(throws: QRCodeError.empty) { try QRCode("") }
        #expect(throws: QRCodeError.containsNUL) { try QRCode("a\u{0}b") }
        #expect(throws: QRCodeError.tooLong) { try QRCode(String(repeating: "x", count: 2_332)) }
        #expect(throws: Never.self) { try QRCode(String(repeating: "x", count: 2_331)) }
        #expect(throws: Never.self) { try QRCode(String(repeating: "X", count: 3_391)) }
    }

    @Test func `sizes beyond reason stay within bounds`() throws {
        let code = try QRCode("BOUNDS")
        #expect(code.png(pixelsPerModule: -5) == code.png(pixelsPerModule: 1))
        #expect(code.png(pixelsPerModule: .max, quietZone: .max) == code.png(pixelsPerModule: 64, quietZone: 64))
        #expect(!code.png(quietZone: -1).isEmpty)
    }
}

extension QRCodeTests {
    /// The drawing as a PNG, made without the code under test: only what these SVGs hold, filled rectangles and
    /// horizontal runs, as a portable bitmap that `zbarimg` reads too.
    private static func rasterized(_ svg: String) throws -> [UInt8] {
        let scale = 6
        let box = try #require(svg.firstMatch(of: /viewBox="0 0 (\d+) (\d+)"/))
        let side = try #require(Int(box.1))
        var dark = [Bool](repeating: false, count: side * side)
        for run in svg.matches(of: /M(\d+) (\d+)h(\d+)v1H(\d+)z/) {
            let (x, y, width, back) = (Int(run.1)!, Int(run.2)!, Int(run.3)!, Int(run.4)!)
            #expect(back == x)
            for column in x..<x + width { dark[y * side + column] = true }
        }
        for patch in svg.matches(of: /<rect x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)" fill="white"/) {
            let (x, y, width, height) = (Int(patch.1)!, Int(patch.2)!, Int(patch.3)!, Int(patch.4)!)
            for row in y..<y + height { for column in x..<x + width { dark[row * side + column] = false } }
        }
        var bitmap = Array("P5\n\(side * scale) \(side * scale)\n255\n".utf8)
        for row in 0..<side * scale {
            for column in 0..<side * scale {
                bitmap.append(dark[row / scale * side + column / scale] ? 0 : 255)
            }
        }
        return bitmap
    }
}

import Foundation
import Testing

/// How events are written. What is published once must be read for ever: within a version only optional fields are added.
///
/// A new event gets its file by running this suite once with TICKETFLOW_WRITE_GOLDEN=1; a file is never written over.
@Suite struct EventWireTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Golden")
    private static let mayWrite = ProcessInfo.processInfo.environment["TICKETFLOW_WRITE_GOLDEN"] == "1"

    @Test(arguments: GoldenEvent.all)
    func `an event is written as its file says`(event: GoldenEvent) throws {
        let file = EventWireTests.folder.appending(path: "\(event.name).json")
        let written = try EventWireTests.readable(try event.written())
        if EventWireTests.mayWrite, !FileManager.default.fileExists(atPath: file.path) {
            try Data(written.utf8).write(to: file)
        }
        #expect(try String(contentsOf: file, encoding: .utf8) == written)
    }

    @Test(arguments: GoldenEvent.all)
    func `what was written before can be read, and nothing of it is lost`(event: GoldenEvent) throws {
        let file = EventWireTests.folder.appending(path: "\(event.name).json")
        let golden = try String(contentsOf: file, encoding: .utf8)
        #expect(try EventWireTests.readable(try event.rewritten(golden)) == golden)
    }

    @Test func `every event of Contracts has its file`() throws {
        let declared = try SourceTree().files(under: "Sources/Contracts").flatMap { file in
            file.text.matches(of: #/: DomainEvent \{\s*package static let name = "([^"]+)"/#).map { String($0.output.1) }
        }
        #expect(!declared.isEmpty)
        #expect(Set(declared) == Set(GoldenEvent.all.map(\.name)))
    }

    /// Keys sorted, a line each.
    private static func readable(_ json: [UInt8]) throws -> String {
        let value = try JSONSerialization.jsonObject(with: Data(json))
        let data = try JSONSerialization.data(withJSONObject: value, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
        return String(decoding: data, as: UTF8.self) + "\n"
    }
}

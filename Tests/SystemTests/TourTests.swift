import Foundation
import Testing

extension WholeSystem {
    @Suite struct TourTests {
        @Test func `the tour of the README works word for word`() async throws {
            try await withProgram { program in
                let readme = try String(contentsOfFile: "\(RunningProgram.repository)/README.md", encoding: .utf8)
                let blocks = readme.components(separatedBy: "<!-- tour -->\n```sh\n").dropFirst()
                    .compactMap { $0.components(separatedBy: "\n```").first }
                #expect(blocks.count == 5)
                let script = blocks.joined(separator: "\n").replacing("http://127.0.0.1:8080", with: program.address)
                let folder = try TemporaryFolder()
                defer { folder.remove() }
                let tour = try await ChildProcess.run(
                    "/bin/bash", ["-euo", "pipefail", "-c", "cd '\(folder.path)'\n\(script)"],
                    environment: ["PATH": "/usr/bin:/bin", "HOME": folder.path])
                #expect(tour.end == .exit(0), "\(tour.output)\(tour.errors)")
                for expected in [
                    "\"email\": \"ada@example.org\"", "\"published\"", "\"onSale\"", "\"OWL10\"", "\"status\": \"paid\"", "PNG image data",
                    "\"result\": \"admitted\"", "\"reason\": \"already-used\"", "\"gate\": \"North\"", "\"ticketsSold\": 2",
                    "\"status\": \"succeeded\"", "\"account\":\"provider\"",
                ] {
                    #expect(tour.output.contains(expected), "the tour never shows \(expected):\n\(tour.output)")
                }
                try await program.expectCleanBooks()
            }
        }
    }
}

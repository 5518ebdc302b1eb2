import Contracts
import Discovery
import Foundation
import HTTPTypes
import Testing
import Values

extension WholeSystem {
    /// The served OpenAPI document, held to what the program does by a tool that has no part in either.
    @Suite struct SchemaTests {
        /// Of every operation, how many requests are made up.
        private static let examples = 12

        @Test(arguments: ["nobody", "an owner"])
        func `no operation answers otherwise than its document says`(who: String) async throws {
            try await withProgram { program in
                let world = try await World(program)
                let folder = try TemporaryFolder()
                defer { folder.remove() }
                let settings = "\(folder.path)/schemathesis.toml"
                try configuration(world).write(toFile: settings, atomically: true, encoding: .utf8)
                // One worker: two threads that parse Python at once, with a collection of garbage between, make Python 3.11 lose count of
                // its recursion (gh-106905), and the tool dies of it.
                // And no limit of time, which it would fill: the number of examples is the same on every machine.
                var arguments = [
                    "--config-file", settings, "run", "\(program.address)/api/openapi.json", "--no-color", "--workers", "1",
                    "--phases", "examples,coverage,fuzzing", "--max-examples", "\(SchemaTests.examples)", "--seed", "1",
                    "--generation-database", "none", "--no-shrink", "--request-timeout", "20", "--warnings", "off",
                    "--continue-on-failure", "--suppress-health-check", "all", "--checks",
                    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance",
                ]
                if who == "an owner" { arguments += ["--header", "Authorization:Bearer \(world.shop.owner.token)"] }
                let run = try await ChildProcess.run(
                    "\(RunningProgram.repository)/.venv/bin/schemathesis", arguments, environment: ["PYTHONUTF8": "1", "COLUMNS": "160"],
                    atMost: .seconds(240))
                #expect(run.end == .exit(0), "\(run.output.suffix(8_000))\n\(run.errors.suffix(2_000))")
                // It would be content with a document that says nothing, or with an operation that it never came to.
                let tested = try #require(run.output.firstMatch(of: /Tested: +([0-9]+)/), "\(run.output.suffix(1_000))")
                #expect(Int(tested.output.1) ?? 0 >= Contracts.publicOperations.count)
                #expect(program.isRunning)
            }
        }

        @Test
        func `the document has every public operation and no other`() async throws {
            struct Document: Decodable {
                let openapi: String
                let paths: [String: [String: JSONValue]]
            }
            try await withProgram { program in
                let answer = try await program.send(.get, "/api/openapi.json")
                #expect(answer.status == 200 && answer.headers["content-type"] == "application/json")
                let document: Document = try answer.json()
                #expect(document.openapi.hasPrefix("3.1"))
                let methods: Set = ["get", "put", "post", "delete", "patch", "head", "options"]
                let documented = Set(
                    document.paths.flatMap { path, item in item.keys.filter(methods.contains).map { "\($0.uppercased()) \(path)" } })
                let served = Set(Contracts.publicOperations.map { "\($0.method) \($0.path)" })
                #expect(served.subtracting(documented).isEmpty, "not documented")
                // What the front itself answers may be documented, too.
                #expect(documented.subtracting(served).allSatisfy { !$0.contains("/api/v1/") && !$0.contains("/internal/") }, "not served")
            }
        }

        /// Real things for the parameters of paths, so that more is answered than 404.
        private func configuration(_ world: World) -> String {
            // Left alone, the tool registers itself and is not nobody.
            var text = "[auth]\nauto-signup = false\n\n"
            var known: Set<String> = []
            for operation in world.operations where !operation.parameters.isEmpty && known.insert(operation.name).inserted {
                let names = operation.route.path.matches(of: /\{([A-Za-z]+)\}/).map { String($0.output.1) }
                var parameters = zip(names, operation.parameters).map { "\"path.\($0)\" = \"\($1)\"" }
                switch operation.right {
                case .cart: parameters.append("\"header.X-Cart-Token\" = \"\(world.cart.token)\"")
                case .buyer: parameters.append("\"header.X-Order-Token\" = \"\(world.orderToken)\"")
                case .anyone, .signedIn, .staff, .knowing: break
                }
                text += """
                    [[operations]]
                    include-path = "\(operation.route.path)"
                    include-method = "\(operation.route.method.rawValue)"
                    parameters = { \(parameters.joined(separator: ", ")) }


                    """
            }
            return text
        }
    }
}

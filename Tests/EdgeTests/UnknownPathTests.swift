import ConfigServer
import Configuration
import HTTPTypes
import Logging
import ServiceKit
import ServiceRegistry
import Testing

@Suite struct UnknownPathTests {
    @Test(arguments: [RegistryServer.self, SettingsServer.self] as [any EdgeServer.Type])
    func `an address that means nothing gets 404`(_ type: any EdgeServer.Type) async throws {
        // What one of them cannot start without.
        let folder = try ConfigFolder(["application.yml": ""])
        defer { folder.remove() }
        let settings = InMemoryProvider(values: [
            "backends": ConfigValue(.stringArray(["folder:\(folder.path)"]), isSecret: false),
            "open": ConfigValue(.bool(true), isSecret: false),
        ])
        let server = try type.init(
            EdgeEnvironment(configuration: ConfigReader(provider: settings), folder: "/nowhere", logger: Logger(label: "test")))
        let reply = await server.respond(to: IncomingRequest(method: .get, target: "/no/such/thing/at/all/here", headers: [:], body: []))
        #expect(reply.status == .notFound)
    }
}

import Compression
import Configuration
import Discovery
import HTTPTypes
import ServiceKit
import Testing
import Values

@testable import ServiceRegistry

@Suite struct RegistryProtocolTests {
    // MARK: Registering

    @Test(arguments: ["/eureka", "/eureka/v2", "/v2"])
    func `what is registered under one prefix is found under all, in any case of its name`(prefix: String) async throws {
        let desk = try RegistryDesk()
        let body = String(decoding: RegisteredInstance.example("10.0.0.7:shop:80").document(.json), as: UTF8.self)
        #expect(await desk.call(.post, "\(prefix)/apps/shop", body: body).status == .noContent)
        for prefix in ["/eureka", "/eureka/v2", "/v2"] {
            #expect(await desk.call(.get, "\(prefix)/apps/Shop/10.0.0.7%3Ashop%3A80").status == .ok)
        }
        #expect(try await desk.everything().instances.map(\.id) == ["10.0.0.7:shop:80"])
    }

    @Test func `an instance comes back as it was registered, in JSON and in XML, from JSON and from XML`() async throws {
        var instance = RegisteredInstance.example()
        instance.metadata = ["zone": "a <b> & \"c\"", "plain_key": "1", "a__b": "2", "7 $odd/ключ": "ü\u{1F3AB}", "empty": ""]
        instance.vipAddress = "shop,store"
        instance.homePageURL = "http://shop/?a=1&b=2"
        instance.dataCenter?.metadata = ["instance-id": "i-1"]
        instance.appGroup = "GROUP"
        instance.lease.renewalSeconds = 5
        instance.lease.durationSeconds = 17
        instance.securePort = .init(8_443, isEnabled: true)
        var read: [RegisteredInstance] = []
        for format in [RegistryWriter.Format.json, .xml] {
            let desk = try RegistryDesk()
            let body = String(decoding: instance.document(format), as: UTF8.self)
            #expect(await desk.call(.post, "/eureka/apps/SHOP", body: body).status == .noContent, "\(body)")
            let json = await desk.call(.get, "/eureka/apps/SHOP/a", .json)
            let xml = await desk.call(.get, "/eureka/apps/SHOP/a")
            #expect(json.headers[.contentType] == "application/json" && xml.headers[.contentType] == "application/xml")
            read.append(try JSON.value(EnclosedInstance.self, from: json.body).instance)
            read.append(try JSON.value(EnclosedInstance.self, from: XMLReader.json(of: xml.body)).instance)
        }
        for found in read {
            #expect(found.lease.lastRenewedAt > 0 && found.lease.upSince > 0)
            var plain = found
            plain.lease = instance.lease
            plain.lastUpdatedAt = 0
            #expect(plain == instance)
        }
    }

    @Test func `the JSON has the shapes that clients of Eureka ask for`() async throws {
        let desk = try RegistryDesk()
        await desk.register(.example())
        let text = await desk.call(.get, "/eureka/apps/", .json).text
        for part in [
            #""apps__hashcode":"UP_1_""#, #""port":{"@enabled":"true","$":8080}"#,
            #""dataCenterInfo":{"@class":"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo","name":"MyOwn"}"#,
            #""metadata":{"@class":"java.util.Collections$EmptyMap"}"#, #""isCoordinatingDiscoveryServer":"false""#,
            #""lastDirtyTimestamp":"1000""#, #""actionType":"ADDED""#, #""durationInSecs":90"#, #""overriddenStatus":"UNKNOWN""#,
        ] {
            #expect(text.contains(part), "\(part) is not in \(text)")
        }
        let xml = await desk.call(.get, "/eureka/apps/").text
        for part in [
            #"<port enabled="true">8080</port>"#, "<overriddenstatus>UNKNOWN</overriddenstatus>",
            #"<metadata class="java.util.Collections"#,
        ] {
            #expect(xml.contains(part), "\(part) is not in \(xml)")
        }
    }

    @Test(arguments: [
        (#""instanceId":"a","#, "Missing instanceId", #""hostName":"h","#), (#""hostName":"h","#, "Missing hostname", ""),
        (#""ipAddr":"1.2.3.4","#, "Missing ip address", ""), (#""app":"SHOP","#, "Missing appName", ""),
        (#""dataCenterInfo":{"name":"MyOwn"},"#, "Missing dataCenterInfo", ""), (#""name":"MyOwn""#, "Missing dataCenterInfo Name", ""),
    ])
    func `an instance that lacks something gets 400 and a word about it`(part: String, complaint: String, also: String) async throws {
        let whole =
            #"{"instance":{"instanceId":"a","hostName":"h","ipAddr":"1.2.3.4","app":"SHOP","dataCenterInfo":{"name":"MyOwn"},"status":"UP"}}"#
        let desk = try RegistryDesk()
        let reply = await desk.call(
            .post, "/eureka/apps/SHOP", body: whole.replacing(part, with: "").replacing(also.isEmpty ? "\0" : also, with: ""))
        #expect(reply.status == .badRequest && reply.text == "\(complaint)\n")
        #expect(await desk.call(.post, "/eureka/apps/SHOP", body: whole).status == .noContent)
        let mismatched = await desk.call(.post, "/eureka/apps/STORE", body: whole)
        #expect(mismatched.status == .badRequest && mismatched.text.contains("expecting STORE but was SHOP"))
    }

    @Test(arguments: [
        "", "{", "[]", #"{"instance":7}"#, "<instance>", "<instance><app>A</instance>", "<a/><b/>", "<instance a=b/>",
        "<!DOCTYPE x [<!ENTITY e \"e\">]><instance><app>&e;</app></instance>", "<instance><app>&e;</app></instance>",
        "<a>\(String(repeating: "<b>", count: 40))",
    ])
    func `a body that cannot be read gets 400`(body: String) async throws {
        let desk = try RegistryDesk()
        #expect(await desk.call(.post, "/eureka/apps/SHOP", body: body).status == .badRequest)
    }

    @Test func `numbers may be text, one thing may stand where a list may, and the overridden status has two spellings`() async throws {
        let desk = try RegistryDesk()
        for (id, spelling) in [("a", "overriddenstatus"), ("b", "overriddenStatus")] {
            let body = """
                {"instance":{"instanceId":"\(id)","hostName":"h","ipAddr":"1.2.3.4","app":"SHOP","dataCenterInfo":{"name":"MyOwn"},"status":"UP",
                "port":{"$":"81","@enabled":true},"securePort":443,"leaseInfo":{"durationInSecs":"7"},"\(spelling)":"OUT_OF_SERVICE",
                "lastDirtyTimestamp":5}}
                """
            #expect(await desk.call(.post, "/eureka/apps/SHOP", body: body).status == .noContent)
            let found = try #require(try await desk.instance("SHOP", id))
            #expect(found.port == .init(81, isEnabled: true) && found.securePort == .init(443, isEnabled: true))
            #expect(found.lease.durationSeconds == 7 && found.lastDirtyAt == 5 && found.status == .outOfService)
        }
        let single = #"{"applications":{"application":{"name":"A","instance":{"instanceId":"a","app":"A","status":"UP"}}}}"#
        #expect(try JSON.value(RegistryListing.self, from: single).instances.map(\.id) == ["a"])
    }

    @Test func `an instance has its bounds, and so has the registry`() async throws {
        let desk = try RegistryDesk(["most.instances": 2])
        var large = RegisteredInstance.example()
        large.metadata = ["a": String(repeating: "x", count: 40_000)]
        #expect(await desk.register(large).status == .badRequest)
        #expect(await desk.register(.example(String(repeating: "i", count: 600))).status == .badRequest)
        for id in ["a", "b"] { #expect(await desk.register(.example(id)).status == .noContent) }
        #expect(await desk.register(.example("c")).status == .serviceUnavailable)
        #expect(await desk.register(.example("b")).status == .noContent)
        #expect(await desk.call(.put, "/eureka/apps/SHOP/a/metadata?b=\(String(repeating: "x", count: 40_000))").status == .badRequest)
        #expect(try await desk.everything().instances.count == 2)
    }

    @Test func `more members than can be meant are refused before they are looked at`() async throws {
        let desk = try RegistryDesk()
        var instance = RegisteredInstance.example()
        for number in 0...1_000 { instance.metadata["\(number)"] = "" }
        let json = await desk.register(instance)
        #expect(json.status == .badRequest && json.text.contains("1000 keys"), "\(json.text)")
        let children = (0...1_000).map { "<a\($0)/>" }.joined()
        let xml = await desk.call(.post, "/eureka/apps/SHOP", body: "<instance><metadata>\(children)</metadata></instance>")
        #expect(xml.status == .badRequest && xml.text.contains("1000 others"), "\(xml.text)")
    }

    @Test func `a body may be packed, but not hold more than a body may`() async throws {
        let desk = try RegistryDesk()
        func post(_ bytes: [UInt8]) async -> HTTPResponse.Status {
            await desk.server.respond(
                to: IncomingRequest(
                    method: .post, target: "/eureka/apps/SHOP", headers: [.contentType: "application/json", .contentEncoding: "gzip"],
                    body: bytes)
            ).status
        }
        #expect(await post(Gzip.compressed(RegisteredInstance.example().document(.json))) == .noContent)
        #expect(await post([1, 2, 3]) == .badRequest)
        #expect(await post(Gzip.compressed([UInt8](repeating: 32, count: RegistryServer.largestBody + 1))) == .contentTooLarge)
    }

    // MARK: Renewing and ending

    @Test func `a renewal is answered by what is known of the instance, and by who asks`() async throws {
        let desk = try RegistryDesk()
        await desk.register(.example())
        #expect(await desk.call(.put, "/eureka/apps/SHOP/b").status == .notFound)
        #expect(await desk.call(.put, "/eureka/apps/SHOP/a").status == .ok)
        #expect(await desk.call(.put, "/eureka/apps/SHOP/a?status=UP&lastDirtyTimestamp=1000").status == .ok)
        #expect(await desk.call(.put, "/eureka/apps/SHOP/a?lastDirtyTimestamp=1001").status == .notFound)
        #expect(await desk.call(.put, "/eureka/apps/SHOP/a?lastDirtyTimestamp=999").status == .ok)
        var fields = HTTPFields.fromPeer
        fields[.accept] = "application/json"
        let conflict = await desk.call(.put, "/eureka/apps/SHOP/a?lastDirtyTimestamp=999", fields)
        #expect(conflict.status == .conflict)
        #expect(try JSON.value(EnclosedInstance.self, from: conflict.body).instance.lastDirtyAt == 1_000)
    }

    @Test func `what is canceled is gone, once`() async throws {
        let desk = try RegistryDesk()
        await desk.register(.example())
        #expect(await desk.call(.delete, "/eureka/apps/SHOP/a").status == .ok)
        #expect(await desk.call(.delete, "/eureka/apps/SHOP/a").status == .notFound)
        #expect(await desk.call(.get, "/eureka/apps/SHOP").status == .notFound)
        let delta = try await desk.delta()
        #expect(delta.hash == "" && delta.instances.map(\.action) == [.deleted])
        #expect(try await desk.everything().hash == "")
    }

    // MARK: Statuses

    @Test func `a decreed status holds until it is taken back, whatever the instance says; DOWN and STARTING are believed`() async throws {
        let desk = try RegistryDesk()
        await desk.register(.example())
        #expect(await desk.call(.put, "/eureka/apps/SHOP/a/status?value=OUT_OF_SERVICE").status == .ok)
        #expect(await desk.call(.put, "/eureka/apps/SHOP/b/status?value=OUT_OF_SERVICE").status == .notFound)
        #expect(await desk.call(.put, "/eureka/apps/SHOP/a/status?value=SLEEPY").status == .badRequest)
        var instance = RegisteredInstance.example()
        for (status, force) in [
            (RegisteredInstance.Status.up, RegisteredInstance.Status.outOfService), (.down, .down), (.starting, .starting),
            (.up, .outOfService),
        ] {
            instance.status = status
            instance.lastDirtyAt += 1
            await desk.register(instance)
            #expect(try await desk.instance()?.status == force)
            #expect(try await desk.instance()?.overriddenStatus == .outOfService)
        }
        #expect(await desk.call(.get, "/serverinfo/statusoverrides", .json).text.contains(#""a":"OUT_OF_SERVICE""#))
        #expect(await desk.call(.delete, "/eureka/apps/SHOP/a/status?value=UP").status == .ok)
        let found = try #require(try await desk.instance())
        #expect(found.status == .up && found.overriddenStatus == .unknown)
        #expect(await desk.call(.delete, "/eureka/apps/SHOP/b/status").status == .notFound)
    }

    @Test func `without a value a taken back status is unknown, and the next renewal makes the instance say what it is`() async throws {
        let desk = try RegistryDesk()
        await desk.register(.example())
        #expect(await desk.call(.put, "/eureka/apps/SHOP/a/status?value=OUT_OF_SERVICE").status == .ok)
        #expect(await desk.call(.delete, "/eureka/apps/SHOP/a/status").status == .ok)
        #expect(try await desk.instance()?.status == .unknown)
        #expect(await desk.call(.put, "/eureka/apps/SHOP/a").status == .notFound)
        await desk.register(.example())
        #expect(try await desk.instance()?.status == .up)
    }

    @Test func `metadata is merged`() async throws {
        let desk = try RegistryDesk()
        var instance = RegisteredInstance.example()
        instance.metadata = ["a": "1", "b": "2"]
        await desk.register(instance)
        #expect(await desk.call(.put, "/eureka/apps/SHOP/a/metadata?b=3&c=x%20y+z").status == .ok)
        #expect(try await desk.instance()?.metadata == ["a": "1", "b": "3", "c": "x y z"])
        #expect(await desk.call(.put, "/eureka/apps/SHOP/b/metadata?b=3").status == .notFound)
    }

    // MARK: Looking up

    @Test func `the delta has each changed instance once, and the hash and version of the whole`() async throws {
        let desk = try RegistryDesk()
        let before = try #require(Int64(try await desk.everything().version))
        for id in ["a", "b", "c"] { await desk.register(.example(id)) }
        await desk.register(.example("d", app: "STORE", status: .down))
        _ = await desk.call(.put, "/eureka/apps/SHOP/b/status?value=OUT_OF_SERVICE")
        _ = await desk.call(.delete, "/eureka/apps/SHOP/c")
        let (delta, everything) = (try await desk.delta(), try await desk.everything())
        #expect(delta.hash == "DOWN_1_OUT_OF_SERVICE_1_UP_1_" && everything.hash == delta.hash)
        #expect(delta.version == "\(before + 6)" && everything.version == delta.version)
        let actions = Dictionary(uniqueKeysWithValues: delta.instances.map { ($0.id, $0.action) })
        #expect(actions == ["a": .added, "b": .modified, "c": .deleted, "d": .added])
        _ = await desk.call(.put, "/eureka/apps/SHOP/a")
        #expect(try await desk.delta().version == delta.version)
        let later = try RegistryDesk()
        #expect(try #require(Int64(try await later.everything().version)) >= before)
    }

    @Test func `an instance is found by its id, and by each of its names`() async throws {
        let desk = try RegistryDesk()
        var instance = RegisteredInstance.example()
        instance.vipAddress = "shop,store"
        instance.secureVipAddress = "safe"
        await desk.register(instance)
        await desk.register(.example("b", app: "OTHER"))
        for path in ["instances/a", "vips/shop", "vips/store", "svips/safe", "apps/SHOP", "apps/shop/a"] {
            #expect(await desk.call(.get, "/eureka/\(path)").text.contains("<instanceId>a</instanceId>"), "\(path)")
        }
        for path in ["instances/x", "vips/safe", "svips/shop", "vips/sho", "apps/NONE", "apps/OTHER/a", "nothing", "apps/a/b/c"] {
            #expect(await desk.call(.get, "/eureka/\(path)").status == .notFound, "\(path)")
        }
        let wrong = await desk.call(.delete, "/eureka/apps/SHOP")
        #expect(wrong.status == .methodNotAllowed && wrong.headers[.allow] == "GET, POST")
    }

    @Test(arguments: [
        ("application/json", true), ("text/html, application/json;q=0.5", true), ("application/vnd.x+JSON", true), ("*/*", false),
        ("application/xml", false), ("", false),
    ])
    func `JSON is for those who ask for it`(accept: String, isJSON: Bool) async throws {
        let desk = try RegistryDesk()
        let reply = await desk.call(.get, "/eureka/apps", accept.isEmpty ? [:] : [.accept: accept])
        #expect(reply.headers[.contentType] == (isJSON ? "application/json" : "application/xml"))
        #expect(reply.text.hasPrefix(isJSON ? "{" : "<applications>"))
    }

    @Test func `answers are packed for those who unpack them, and short for those who want them so`() async throws {
        let desk = try RegistryDesk()
        for id in 0..<20 { await desk.register(.example("\(id)")) }
        let plain = await desk.call(.get, "/eureka/apps/", .json)
        var fields = HTTPFields.json
        fields[.acceptEncoding] = "deflate, gzip;q=0.8"
        let packed = await desk.call(.get, "/eureka/apps/", fields)
        #expect(packed.headers[.contentEncoding] == "gzip" && packed.body.count < plain.body.count / 5)
        #expect(try Gzip.plain(of: packed.body, atMost: 1 << 20) == plain.body)
        fields[.acceptEncoding] = "gzip;q=0"
        #expect(await desk.call(.get, "/eureka/apps/", fields).headers[.contentEncoding] == nil)
        var compact = HTTPFields.json
        compact[HTTPField.Name("X-Eureka-Accept")!] = "compact"
        let short = await desk.call(.get, "/eureka/apps/", compact)
        #expect(short.body.count < plain.body.count * 2 / 3 && !short.text.contains("leaseInfo"))
        #expect(try JSON.value(RegistryListing.self, from: short.body).instances.count == 20)
    }

    // MARK: From a peer

    @Test func `a batch of a peer is taken one by one, and says what became of each`() async throws {
        let desk = try RegistryDesk()
        await desk.register(.example("known"))
        let instance = String(decoding: RegistryWriter.json { RegisteredInstance.example("new").write(to: &$0) }, as: UTF8.self)
        func item(_ action: String, _ id: String, dirtyAt: Int = 1_000, more: String = "") -> String {
            #"{"appName":"SHOP","id":"\#(id)","lastDirtyTimestamp":\#(dirtyAt),"status":"DOWN","action":"\#(action)"\#(more)}"#
        }
        let items = [
            item("Register", "new", more: #","instanceInfo":\#(instance)"#), item("Heartbeat", "known"), item("Heartbeat", "unknown"),
            item("Heartbeat", "known", dirtyAt: 1), item("StatusUpdate", "known"), item("Cancel", "unknown"), item("Cancel", "new"),
            item("Dance", "known"),
        ]
        let reply = await desk.call(
            .post, "/eureka/peerreplication/batch/", .fromPeer, body: #"{"replicationList":[\#(items.joined(separator: ","))]}"#)
        #expect(reply.status == .ok)
        let answer = try JSON.value(ReplicationAnswer.self, from: reply.body)
        #expect(answer.items.map(\.statusCode) == [200, 200, 404, 409, 200, 404, 200, 400])
        #expect(answer.items[3].responseEntity?.lastDirtyAt == 1_000)
        #expect(try await desk.instance("SHOP", "known")?.status == .down)
    }

    // MARK: Who may

    @Test func `with user and password nobody else is answered`() async throws {
        let desk = try RegistryDesk(["user": "anna", "password": "se:cret"])
        let right = try #require(RegistryAddress("http://anna:se%3Acret@h:1/eureka"))
        #expect(right.url == "http://h:1/eureka" && !"\(right)".contains("cret"))
        for (value, status) in [
            ("Basic YW5uYTpzZTpjcmV0", HTTPResponse.Status.ok), ("basic YW5uYTpzZTpjcmV0", .ok), ("Basic YW5uYTpzZTpjcmU=", .unauthorized),
            ("Bearer YW5uYTpzZTpjcmV0", .unauthorized), ("Basic", .unauthorized), ("", .unauthorized), ("Basic ", .unauthorized),
        ] {
            for path in ["/", "/eureka/apps", "/status", "/eureka/changes"] {
                let reply = await desk.call(.get, path, value.isEmpty ? [:] : [.authorization: value])
                #expect(reply.status == status, "\(path) with \(value)")
            }
        }
    }

    @Test(
        arguments: [
            ["user": "a"], ["password": "a"], ["most.instances": 0], ["peers": ConfigValue(.stringArray(["nonsense"]), isSecret: false)],
        ] as [[AbsoluteConfigKey: ConfigValue]])
    func `a setting that cannot be meant is refused`(settings: [AbsoluteConfigKey: ConfigValue]) {
        #expect(throws: Problem.self) { try RegistryDesk(settings) }
    }

    // MARK: For people

    @Test func `the dashboard shows what there is, and runs nothing that it was sent`() async throws {
        let desk = try RegistryDesk()
        #expect(await desk.call(.get, "/").text.contains("Nothing is registered"))
        await desk.register(.example("<script>alert(1)</script>"))
        let page = await desk.call(.get, "/eureka/")
        #expect(page.status == .ok && page.headers[.contentType] == "text/html; charset=utf-8")
        #expect(page.text.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !page.text.contains("<script"))
        for part in ["SHOP", "UP", "s ago", "Preservation", "no peers", "lang=\"en\"", "width=device-width", "scope=\"col\""] {
            #expect(page.text.contains(part), "\(part)")
        }
    }
}

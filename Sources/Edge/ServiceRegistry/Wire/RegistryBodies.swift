import Compression
import Discovery
import HTTPTypes
import ServiceKit

/// A body that is not read.
struct BodyRefused: Error {
    let reply: Reply
}

extension IncomingRequest {
    /// The body as JSON: unpacked, and out of XML where it is that.
    func json() throws -> [UInt8] {
        var bytes = body
        if headers[.contentEncoding]?.lowercased() == "gzip" {
            do {
                bytes = try Gzip.plain(of: bytes, atMost: RegistryServer.largestBody)
            } catch is Gzip.TooLarge {
                throw BodyRefused(
                    reply: .text(.contentTooLarge, "The body may have \(RegistryServer.largestBody) bytes when it is unpacked."))
            } catch {
                throw BodyRefused(reply: .badRequest("The body is not what gzip makes."))
            }
        }
        let type = headers[.contentType]?.lowercased() ?? ""
        let isXML = type.contains("xml") || (!type.contains("json") && bytes.first { ![9, 10, 13, 32].contains($0) } == UInt8(ascii: "<"))
        guard isXML else { return bytes }
        do {
            return try XMLReader.json(of: bytes)
        } catch is XMLReader.TooMany {
            throw BodyRefused(reply: .badRequest("An element may have at most \(XMLReader.mostChildren) others in it."))
        } catch {
            throw BodyRefused(reply: .badRequest("The body is no XML that can be read here. It must have no document type."))
        }
    }
}

extension RegisteredInstance {
    /// In bytes, of all its texts together.
    private static let largest = 32 * 1024
    private static let longestName = 512

    /// What is wrong with it as an instance of an application; nil if nothing is.
    func complaint(asOf app: String) -> String? {
        if id.isEmpty { return "Missing instanceId" }
        if hostName.isEmpty { return "Missing hostname" }
        if ipAddress.isEmpty { return "Missing ip address" }
        if self.app.isEmpty { return "Missing appName" }
        if self.app.uppercased() != app { return "Mismatched appName, expecting \(app) but was \(self.app)" }
        guard let dataCenter else { return "Missing dataCenterInfo" }
        if dataCenter.name.isEmpty { return "Missing dataCenterInfo Name" }
        let names = [id, hostName, ipAddress, app]
        if names.contains(where: { $0.utf8.count > RegisteredInstance.longestName || $0.utf8.contains { $0 < 0x20 || $0 == 0x7F } }) {
            return "instanceId, hostName, ipAddr and app have at most \(RegisteredInstance.longestName) bytes, and no control characters"
        }
        let texts =
            [
                appGroup, homePageURL, statusPageURL, healthCheckURL, secureHealthCheckURL, vipAddress, secureVipAddress, asgName,
                dataCenter.className,
            ].compactMap { $0 } + names + metadata.flatMap { [$0.key, $0.value] } + dataCenter.metadata.flatMap { [$0.key, $0.value] }
        if texts.reduce(0, { $0 + $1.utf8.count + 16 }) > RegisteredInstance.largest {
            return "An instance has at most \(RegisteredInstance.largest) bytes, its metadata included"
        }
        return nil
    }
}

extension Reply {
    static func text(_ status: HTTPResponse.Status, _ text: String) -> Reply {
        Reply(status: status, headers: [.contentType: "text/plain; charset=utf-8"], body: Array("\(text)\n".utf8))
    }

    static func badRequest(_ text: String) -> Reply { .text(.badRequest, text) }

    /// 200 or 404.
    static func found(_ isFound: Bool) -> Reply { Reply(status: isFound ? .ok : .notFound) }

    static func document(_ bytes: [UInt8], _ format: RegistryWriter.Format, isCompressed: Bool = false) -> Reply {
        var reply = Reply.bytes(bytes, type: format == .json ? "application/json" : "application/xml")
        reply.headers[.vary] = "Accept, Accept-Encoding, X-Eureka-Accept"
        if isCompressed { reply.headers[.contentEncoding] = "gzip" }
        return reply
    }
}

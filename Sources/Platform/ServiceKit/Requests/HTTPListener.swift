import Discovery
import HTTPTypes
import Hummingbird
package import Logging
import NIOCore
import ServiceLifecycle

/// Hummingbird's server before a closure: it reads whole requests of bounded size and writes whole answers.
package struct HTTPListener: Service {
    /// JSON of the public API is small; what is larger is not for it.
    package static let largestPublicBody = 64 * 1024
    /// What services say to each other may be about a thousand tickets.
    package static let largestInternalBody = 4 * 1024 * 1024

    /// What bodies may be.
    package enum Takes: Sendable {
        case json
        /// What the one who answers can read.
        case anything
    }

    private let host: String
    private let port: Int
    private let logger: Logger
    private let onReady: @Sendable (Int) -> Void
    private let isStopping: @Sendable () -> Bool
    private let largestBody: Int
    private let takes: Takes
    private let respond: @Sendable (IncomingRequest) async -> Reply

    /// - Parameters:
    ///   - port: 0 takes a free one.
    ///   - onReady: is told the port once connections are accepted.
    ///   - largestBody: of a request, in bytes.
    ///   - takes: what a body may be.
    ///   - isStopping: whether a connection is to be closed after its next answer, so that its other end goes elsewhere in time.
    package init(
        host: String, port: Int, largestBody: Int, takes: Takes = .json, logger: Logger,
        onReady: @escaping @Sendable (Int) -> Void = { _ in },
        isStopping: @escaping @Sendable () -> Bool = { false },
        respond: @escaping @Sendable (IncomingRequest) async -> Reply
    ) {
        self.host = host
        self.port = port
        self.logger = logger
        self.onReady = onReady
        self.isStopping = isStopping
        self.largestBody = largestBody
        self.takes = takes
        self.respond = respond
    }

    package func run() async throws {
        let respond = respond
        let onReady = onReady
        let isStopping = isStopping
        let largestBody = largestBody
        let takes = takes
        let application = Application(
            responder: CallbackResponder<BasicRequestContext> { request, _ in
                var response = await answer(request, largestBody: largestBody, takes: takes, respond)
                if isStopping() { response.headers[.connection] = "close" }
                return response
            },
            configuration: .init(address: .hostname(host, port: port), serverName: nil, backlog: 4_096),
            onServerRunning: { channel in onReady(channel.localAddress?.port ?? 0) },
            logger: logger)
        try await application.run()
    }
}

private func answer(
    _ request: Request, largestBody: Int, takes: HTTPListener.Takes, _ respond: @Sendable (IncomingRequest) async -> Reply
) async -> Response {
    let reply: Reply
    do {
        if let length = request.headers.value(of: .contentLength).flatMap({ Int($0) }), length > largestBody {
            throw NIOTooManyBytesError(maxBytes: largestBody)
        }
        let body = try await request.body.collect(upTo: largestBody)
        let bytes = body.getBytes(at: body.readerIndex, length: body.readableBytes) ?? []
        if takes == .json, !bytes.isEmpty, let type = request.headers.value(of: .contentType), !isJSON(type) {
            throw Problem(415, "unsupported-media-type", "The body must be JSON", detail: "Send it with Content-Type: application/json.")
        }
        reply = await respond(
            IncomingRequest(
                method: request.method, target: request.uri.string, headers: request.headers, body: bytes))
    } catch let problem as Problem {
        reply = .problem(problem, requestID: "none")
    } catch is NIOTooManyBytesError {
        reply = .problem(
            Problem(413, "body-too-large", "The body is too large", detail: "It may have at most \(largestBody) bytes."),
            requestID: "none")
    } catch {
        reply = .problem(.badRequest("The body did not arrive whole."), requestID: "none")
    }
    return Response(status: reply.status, headers: reply.headers, body: body(of: reply))
}

/// `application/json`, and whatever else has the word in it. Looked for in the bytes: every request with a body is asked.
private func isJSON(_ type: String) -> Bool {
    let (bytes, word) = (type.utf8.span, "json".utf8.span)
    guard bytes.count >= word.count else { return false }
    return (0...bytes.count - word.count).contains { start in
        word.indices.allSatisfy { bytes[start + $0] | 0x20 == word[$0] }
    }
}

private func body(of reply: Reply) -> ResponseBody {
    guard let rest = reply.rest else { return reply.body.isEmpty ? .init() : .init(byteBuffer: ByteBuffer(bytes: reply.body)) }
    return ResponseBody { writer in
        if !reply.body.isEmpty { try await writer.write(ByteBuffer(bytes: reply.body)) }
        for try await piece in rest { try await writer.write(ByteBuffer(bytes: piece)) }
        try await writer.finish(nil)
    }
}

import NIOHTTP1

extension HTTPRequestHead {
    /// Stands for one that could not be read.
    static let unreadable = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/")

    /// The same, after which nothing follows.
    var closing: HTTPRequestHead {
        var head = self
        head.headers.replaceOrAdd(name: "connection", value: "close")
        return head
    }

    /// Whether a body follows.
    var hasBody: Bool {
        if headers.contains(name: "transfer-encoding") { return true }
        return headers.first(name: "content-length").map { $0 != "0" } ?? false
    }

    /// HTTP/2 needs not say that a body follows.
    var mayHaveUnsaidBody: Bool { [.POST, .PUT, .PATCH].contains(method) }
}

/// What is known of a field of the head by its name.
enum FieldShape {
    /// No rule sees it.
    case notJudged
    case plain
    case oneOf(Set<String>)
    case product
    /// An address of a page without a query.
    case page
    case unknown

    /// Programs whose names and versions are no attack.
    static let products: Set = ["curl", "okhttp", "axios", "undici", "HTTPie", "PostmanRuntime", "TicketFlow"]

    static func of(_ name: String) -> FieldShape { shapes[name] ?? .unknown }

    private static let shapes: [String: FieldShape] = {
        var shapes: [String: FieldShape] = [
            "user-agent": .product, "referer": .page,
            "accept": .oneOf([
                "*/*", "application/json", "application/json, text/plain, */*", "application/json, */*", "application/problem+json",
                "application/json, application/problem+json", "image/png", "application/pdf", "text/csv", "text/event-stream",
                "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
            ]),
            "connection": .oneOf(["keep-alive", "Keep-Alive", "close", "Close", "upgrade", "Upgrade", "keep-alive, Upgrade", "TE"]),
            "content-type": .oneOf([
                "application/json", "application/json; charset=utf-8", "application/json;charset=utf-8", "application/json; charset=UTF-8",
                "application/json;charset=UTF-8", "application/merge-patch+json",
            ]),
        ]
        for name in unjudged { shapes[name] = .notJudged }
        for name in [
            "accept-encoding", "accept-language", "cache-control", "pragma", "dnt", "te", "expect", "origin", "priority",
            "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "sec-fetch-user", "sec-gpc", "sec-ch-ua-mobile",
            "sec-ch-ua-platform", "upgrade-insecure-requests", "idempotency-key", "if-match", "if-none-match", "if-modified-since",
            "x-request-id", "traceparent", "tracestate", "x-cart-token", "x-order-token", "x-ticket-token", "sandbox-signature",
            "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "last-event-id", "upgrade", "sec-websocket-version",
            "sec-websocket-key", "sec-websocket-extensions", "x-requested-with", "keep-alive",
        ] { shapes[name] = .plain }
        return shapes
    }()

    /// Checked by others: who it is from by its signature, the host as an authority, the framing by the decoder, which says it anew.
    private static let unjudged: Set = ["authorization", "host", "content-length", "transfer-encoding"]
}

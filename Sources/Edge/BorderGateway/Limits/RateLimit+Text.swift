import Values

extension RateLimit {
    /// `20/s`, `600/min`, `10/h`, with a burst of its own: `20/s burst 100`. Nil for anything else.
    package init?(_ text: String) {
        let words = text.split(separator: " ")
        guard words.count == 1 || (words.count == 3 && words[1] == "burst"), let rate = words.first else { return nil }
        let parts = rate.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let requests = Int(parts[0]), (1...1_000_000).contains(requests) else { return nil }
        let per: TimeSpan
        switch parts[1] {
        case "s": per = .seconds(1)
        case "min": per = .seconds(60)
        case "h": per = .hours(1)
        default: return nil
        }
        var burst: Int?
        if words.count == 3 {
            guard let said = Int(words[2]), (1...1_000_000).contains(said) else { return nil }
            burst = said
        }
        self.init(requests, per: per, burst: burst)
    }
}

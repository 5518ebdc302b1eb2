internal import FoundationEssentials

/// The OWASP Core Rule Set's files, and what is said before and after them.
struct RuleText {
    /// Those that judge requests, without the ones that are of no use here: exceptions for other programs, addresses' reputation, floods of
    /// requests, and answers.
    private static let files = [
        "REQUEST-901-INITIALIZATION", "REQUEST-911-METHOD-ENFORCEMENT", "REQUEST-913-SCANNER-DETECTION",
        "REQUEST-920-PROTOCOL-ENFORCEMENT", "REQUEST-921-PROTOCOL-ATTACK", "REQUEST-922-MULTIPART-ATTACK",
        "REQUEST-930-APPLICATION-ATTACK-LFI", "REQUEST-931-APPLICATION-ATTACK-RFI", "REQUEST-932-APPLICATION-ATTACK-RCE",
        "REQUEST-933-APPLICATION-ATTACK-PHP", "REQUEST-934-APPLICATION-ATTACK-NODEJS", "REQUEST-941-APPLICATION-ATTACK-XSS",
        "REQUEST-942-APPLICATION-ATTACK-SQLI", "REQUEST-943-APPLICATION-ATTACK-SESSION-FIXATION",
        "REQUEST-944-APPLICATION-ATTACK-JAVA", "REQUEST-949-BLOCKING-EVALUATION",
    ]

    /// A body of more values than this costs too much to look at: the time grows faster than their number.
    static let mostValues = 255
    /// In bytes.
    static let longestValue = 20_000

    /// Of rules that are written here.
    enum Own {
        static let tooManyValues = 10_002
        static let unreadable = 10_003
        static let longValue = 10_005
    }

    private let folder: String
    private let exceptions: RuleExceptions

    /// - Parameter folder: where the package `modsecurity-crs` puts them: its subfolder `rules` has the files.
    init(folder: String, exceptions: RuleExceptions) throws(RuleSetError) {
        self.folder = "\(folder)/rules"
        self.exceptions = exceptions
        for file in RuleText.files where !FileManager.default.isReadableFile(atPath: "\(self.folder)/\(file).conf") {
            throw .missing(folder: folder)
        }
    }

    /// All of it, each with the name that complaints have, in the order in which it is to be read.
    func parts() throws(RuleSetError) -> [(name: String, text: String)] {
        var parts = [("the settings before", exempting(before))]
        for file in RuleText.files {
            let path = "\(folder)/\(file).conf"
            guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { throw .missing(folder: folder) }
            parts.append((path, exempting(adapted(text))))
        }
        return parts + [("the settings after", RuleExceptions.text)]
    }

    /// What rules say of themselves, by their numbers.
    static func messages(in texts: [String]) -> [Int: String] {
        var messages: [Int: String] = [:]
        for text in texts {
            for directive in directives(of: text) {
                let actions = Actions(of: directive)
                if let rule = actions.rule { messages[rule] = actions.message }
            }
        }
        return messages
    }

    /// Expressions of the Core Rule Set take minutes for thousands of `<` or `{` in a row, and seconds for very long values: libmodsecurity cannot
    /// be told to give up, so those are not shown to them.
    private var before: String {
        #"""
        SecRuleEngine On
        SecRequestBodyAccess On
        SecResponseBodyAccess Off
        SecAuditEngine Off
        SecRequestBodyLimit 16777216
        SecRequestBodyNoFilesLimit 16777216
        SecRequestBodyLimitAction Reject
        SecRequestBodyJsonDepthLimit 64
        SecArgumentsLimit \#(RuleText.mostValues + 1)
        SecRule REQUEST_HEADERS:Content-Type "@contains json" "id:10000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
        SecRule &REQUEST_HEADERS:Content-Type "@eq 0" "id:10001,phase:1,t:none,pass,nolog,ctl:requestBodyProcessor=JSON"
        SecRule &ARGS "@gt \#(RuleText.mostValues)" "id:\#(Own.tooManyValues),phase:2,t:none,deny,status:400,log,msg:'More values than can be looked at'"
        SecRule REQBODY_ERROR "!@eq 0" "id:\#(Own.unreadable),phase:2,t:none,deny,status:400,log,msg:'The body cannot be taken apart'"
        SecRule ARGS|ARGS_NAMES "@gt \#(RuleText.longestValue)" "id:\#(Own.longValue),phase:2,t:none,t:length,deny,status:400,log,msg:'A value is longer than can be looked at'"
        SecRule REQUEST_COOKIES|REQUEST_COOKIES_NAMES|REQUEST_HEADERS:User-Agent|REQUEST_HEADERS:Referer|ARGS_NAMES|ARGS "@rx <\W{100}" "id:10006,phase:2,t:none,t:utf8toUnicode,t:urlDecodeUni,t:htmlEntityDecode,t:jsDecode,t:cssDecode,t:removeNulls,deny,status:403,log,msg:'More marks in a row than can be looked at'"
        SecRule REQUEST_COOKIES|REQUEST_COOKIES_NAMES|ARGS_NAMES|ARGS "@rx (?:[{($!]\s*){100}" "id:10007,phase:2,t:none,t:urlDecodeUni,deny,status:403,log,msg:'More marks in a row than can be looked at'"
        SecAction "id:10004,phase:1,nolog,pass,t:none,setvar:tx.crs_setup_version=334,setvar:tx.paranoia_level=1,setvar:'tx.allowed_methods=GET HEAD POST OPTIONS PUT PATCH DELETE',setvar:'tx.allowed_request_content_type=|application/json| |application/problem+json| |application/merge-patch+json| |application/cloudevents+json| |application/x-www-form-urlencoded| |multipart/form-data| |application/octet-stream| |text/plain|'"

        """#
    }

    /// Without the rules of higher paranoia levels, which would be read, kept in memory and skipped for each request. What rules note
    /// about an address they note about the request: that memory is not safe to use from several threads, and nothing here asks for it.
    private func adapted(_ text: String) -> String {
        var result = ""
        result.reserveCapacity(text.utf8.count)
        var isSkipping = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("SecRule TX:EXECUTING_PARANOIA_LEVEL \"@lt 2\"") { isSkipping = true }
            if line.hasPrefix("SecMarker") { isSkipping = false }
            if isSkipping || line.hasPrefix("#") { continue }
            result += line
            result += "\n"
        }
        return result.replacing("'ip.", with: "'tx.").replacing("@pmFromFile ", with: "@pmFromFile \(folder)/")
            .replacing("@pmf ", with: "@pmFromFile \(folder)/")
    }

    /// With the exceptions written into the rules. Said beside them, by `SecRuleUpdateTargetByTag`, each would be compared with each tag of each
    /// rule for each request, which takes four times as long as the rules themselves.
    private func exempting(_ text: String) -> String {
        let start = "SecRule "
        return RuleText.directives(of: text).map { directive in
            var directive = directive
            // A rule of a chain is indented; no exception is made for it.
            let variables = directive[0].dropFirst(start.count).prefix { $0 != " " }
            let actions = Actions(of: directive)
            if directive[0].hasPrefix(start), variables.split(separator: "|").contains("ARGS"), let rule = actions.rule {
                let all = [String(variables)] + exceptions.variables(ofRule: rule, tags: actions.tags)
                directive[0] = start + all.joined(separator: "|") + directive[0][variables.endIndex...]
            }
            return directive.joined(separator: "\n")
        }.joined(separator: "\n")
    }

    /// The lines of each: all but its last end with a backslash.
    private static func directives(of text: String) -> [[Substring]] {
        var directives: [[Substring]] = [[]]
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            directives[directives.count - 1].append(line)
            if !line.hasSuffix("\\") { directives.append([]) }
        }
        return directives.filter { !$0.isEmpty }
    }

    /// What is said about a rule behind its expression.
    private struct Actions {
        private(set) var rule: Int?
        private(set) var message = ""
        private(set) var tags: Set<String> = []

        init(of directive: [Substring]) {
            // Of a rule in one line they begin with its number.
            let first = directive[0].firstRange(of: "\"id:").map { directive[0][$0.lowerBound...] }
            for line in [first].compactMap(\.self) + directive.dropFirst() {
                for action in line.split(separator: ",") {
                    let word = action.drop { $0 == " " || $0 == "\"" || $0 == "\t" }
                    if word.hasPrefix("id:") {
                        rule = Int(word.dropFirst(3).prefix { $0.isNumber })
                    } else if word.hasPrefix("msg:'") {
                        message = String(line[word.startIndex...].dropFirst(5).prefix { $0 != "'" })
                    } else if word.hasPrefix("tag:'") {
                        tags.insert(String(word.dropFirst(5).prefix { $0 != "'" }))
                    }
                }
            }
        }
    }
}

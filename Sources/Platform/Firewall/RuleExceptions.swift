/// Where the rules are told to look away, because what they look for there is what people write.
///
/// Fields are named as the last part of a path into a body of JSON, parameters as they stand in a query.
package struct RuleExceptions: Hashable, Sendable {
    /// Hold a line that people write: names, titles, what is searched for. Rules that match plain words and punctuation do not apply.
    package var lines: [String]
    package var lineParameters: [String]
    /// Hold text of many lines. Only what could harm a reader's browser is looked for.
    package var texts: [String]
    /// Hold addresses of mail, which may begin with a command and end with the name of a file.
    package var addresses: [String]
    /// Hold what nobody reads but to compare it: passwords, and random tokens, of which one in thousands would be a statement of SQL.
    /// Nothing is looked for.
    package var secrets: [String]
    package var secretParameters: [String]

    package init(
        lines: [String] = [], lineParameters: [String] = [], texts: [String] = [], addresses: [String] = [], secrets: [String] = [],
        secretParameters: [String] = []
    ) {
        self.lines = lines
        self.lineParameters = lineParameters
        self.texts = texts
        self.addresses = addresses
        self.secrets = secrets
        self.secretParameters = secretParameters
    }

    /// Rules that match `Having fun; or not`, `Time machine`, `HTTP/2 meetup`, `Get ready`, `Walter (the second)`,
    /// `File under rock?`.
    private static let rulesOfWords = [
        921_110, 921_120, 921_130, 931_120, 932_100, 932_105, 932_110, 932_115, 932_140, 932_150, 933_160, 933_210, 942_190, 942_230,
        942_270,
        942_350, 942_360,
    ]
    /// Rules that match `time@example.org` and `ada@example.profile.org`.
    private static let rulesOfAddresses = [930_120, 932_150]
    /// All but cross-site scripting and the languages that run what they are given as text.
    private static let familiesOutsideBrowsers = [
        "attack-protocol", "attack-lfi", "attack-rfi", "attack-rce", "attack-injection-php", "attack-sqli", "attack-fixation",
    ]
    private static let families = familiesOutsideBrowsers + ["attack-xss", "attack-injection-nodejs", "attack-injection-java"]

    /// Rules that are not applied to anything.
    static let text = """
        # Of memory that outlives a request, which is not safe to use from several threads.
        SecRuleRemoveById 901321 949100
        # A numeric Host is how machines ask each other.
        SecRuleRemoveById 920350
        # Of pages in an encoding that is not UTF-8, in which it finds it where letters are not English.
        SecRuleRemoveById 941310
        # Of NUL, which it also finds where somebody looks for the text %00. Whoever reads requests must refuse it, and name the value.
        SecRuleRemoveById 920270
        # `"name": "Get ready",` at the end of a line; the value itself is looked at as well.
        SecRuleUpdateTargetById 921110 "!REQUEST_BODY"

        """

    /// What a rule that looks at `ARGS` looks away from, as it stands in the list of its variables.
    /// - Parameter tags: the families that the rule belongs to, among others.
    func variables(ofRule rule: Int, tags: Set<String>) -> [String] {
        var fields: [String] = []
        var parameters: [String] = []
        if RuleExceptions.rulesOfWords.contains(rule) {
            fields += lines
            parameters += lineParameters
        }
        if RuleExceptions.rulesOfAddresses.contains(rule) { fields += addresses }
        if rule == RuleText.Own.longValue || !tags.isDisjoint(with: RuleExceptions.familiesOutsideBrowsers) { fields += texts }
        if !tags.isDisjoint(with: RuleExceptions.families) {
            fields += secrets
            parameters += secretParameters
        }
        // At any depth. Quoted, for a bar separates variables.
        let all = fields.isEmpty ? [] : ["!ARGS:'/^json\\.(.*\\.)?(?:\(fields.joined(separator: "|")))$/'"]
        return all + parameters.map { "!ARGS:\($0)" }
    }
}

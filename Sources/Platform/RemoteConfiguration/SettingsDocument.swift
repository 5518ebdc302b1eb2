/// What a Config Server knows for one application, as Spring Cloud Config's protocol has it.
package struct SettingsDocument: Codable, Hashable, Sendable {
    /// The settings of one file, by flat keys: `a.b`, `a.list[0]`.
    package struct Source: Codable, Hashable, Sendable {
        package var name: String
        package var source: [String: SettingValue]

        package init(name: String, source: [String: SettingValue]) {
            self.name = name
            self.source = source
        }
    }

    package var name: String
    package var profiles: [String]
    package var label: String?
    /// Of a git repository, its commit.
    package var version: String?
    package var state: String?
    /// The one that wins comes first.
    package var propertySources: [Source]

    package init(name: String, profiles: [String], label: String?, version: String?, propertySources: [Source]) {
        self.name = name
        self.profiles = profiles
        self.label = label
        self.version = version
        self.propertySources = propertySources
    }

    private enum CodingKeys: String, CodingKey { case name, profiles, label, version, state, propertySources }

    /// With all members, `null` where there is nothing: clients expect them.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .name)
        try container.encode(profiles, forKey: .profiles)
        try container.encode(label, forKey: .label)
        try container.encode(version, forKey: .version)
        try container.encode(state, forKey: .state)
        try container.encode(propertySources, forKey: .propertySources)
    }
}

extension [SettingsDocument.Source] {
    /// What is in force of all sources. A list is taken whole from the first that has any of it.
    package var inForce: [String: SettingValue] {
        var result: [String: SettingValue] = [:]
        var lists: [Substring: Int] = [:]
        for (index, source) in enumerated() {
            for (key, value) in source.source {
                let list = key.firstIndex(of: "[").map { key[..<$0] } ?? key[...]
                // A list hides what others say of it, also where they say one plain value.
                guard lists[list, default: index] == index else { continue }
                lists[list] = index
                result[key] = value
            }
        }
        return result
    }
}

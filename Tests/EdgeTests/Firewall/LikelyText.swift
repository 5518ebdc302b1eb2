import Foundation

/// Made-up values that are as near to an attack as the fast check's characters allow: words of the rule set's own lists, of SQL and of
/// scripts, put together with what may stand between them.
struct LikelyText {
    private static let joints = ["", "", "-", "-", "_", "_", ".", ".", ":", "@", "-1-", ".1.", "0"]
    private static let gaps = [
        " ", " ", " ", ", ", ". ", "-", " - ", "! ", "? ", ",", ".", " 1 ", " 2, ", ": ", "é", " à ", "Ü ", "’", " – ", "„", "ô", "ļ",
    ]
    private static let harmless = [
        "a", "x", "foo", "night", "bob", "owls", "the", "of", "1", "2", "10", "3.5", "0x1", "1e5", "Grace", "org",
    ]
    private static let words = """
        and or union select from where having group by order limit insert into update delete drop table sleep benchmark waitfor delay exec \
        like between case when then else end null true false user current_user database schema count char concat load_file pg_sleep md5 \
        script alert javascript vbscript onerror onload document cookie window location eval function constructor exports module import \
        data base64 xmlns xhtml formaction xlink href style expression admin root passwd shadow etc bin bash sh cat ls wget curl ping nc \
        whoami id uname time env find sort head tail python perl php ruby java runtime lang io class process apache commons struts http \
        https ftp file gopher get post put head options if exist not exists while for in do match against merge using declare set alter \
        column create procedure returns print shutdown uni_on into outfile json eval ZXZhbCgx bmV3IEZ1bmN0aW9u dGhpcy5jb25zdHJ1Y3Rvcg \
        abs ascii cast convert date now version if null hex unhex rand round sum max min avg mid left right lower upper trim length open
        """.split(separator: " ").map(String.init)

    private let listed: [String]

    init() throws {
        let folder = "\(Judges.folder)/rules"
        listed = try FileManager.default.contentsOfDirectory(atPath: folder).sorted().filter { $0.hasSuffix(".data") }.flatMap { name in
            try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8).split(separator: "\n").filter { !$0.hasPrefix("#") }
                .map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
        }
    }

    /// One word.
    func value(_ random: inout SeededNumbers) -> String {
        text(LikelyText.joints, &random).replacing(" ", with: "-")
    }

    func line(_ random: inout SeededNumbers) -> String {
        text(LikelyText.gaps, &random)
    }

    private func text(_ between: [String], _ random: inout SeededNumbers) -> String {
        var text = ""
        for index in 0..<Int.random(in: 1...5, using: &random) {
            if index > 0 { text += between.randomElement(using: &random) ?? "" }
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<5: text += LikelyText.harmless.randomElement(using: &random) ?? ""
            case 5..<7: text += listed.randomElement(using: &random) ?? ""
            case 7: text += String((LikelyText.words.randomElement(using: &random) ?? "").dropFirst(Int.random(in: 0...2, using: &random)))
            case 8: text += LikelyText.noise(&random)
            default: text += LikelyText.words.randomElement(using: &random) ?? ""
            }
        }
        return Bool.random(using: &random) ? text : text.lowercased()
    }

    private static func noise(_ random: inout SeededNumbers) -> String {
        let characters = Array("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:@ ,!?/+=;'\"<>()%&*\\|$#~")
        return String(
            (0..<Int.random(in: 1...8, using: &random)).map { _ in
                // Also letters and marks beyond ASCII, of which rules take the last eight bits.
                if Int.random(in: 0..<6, using: &random) == 0 {
                    let code = UInt32.random(in: Bool.random(using: &random) ? 0xa0...0x17f : 0x2010...0x2040, using: &random)
                    return Unicode.Scalar(code).map { Character($0) } ?? "é"
                }
                return characters.randomElement(using: &random) ?? "a"
            })
    }
}

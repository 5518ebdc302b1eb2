import Foundation

/// The readable part of an address: lower-case ASCII letters, digits and single hyphens. An id has an underscore and so is
/// never a slug.
enum Slug {
    private static let longest = 60

    /// `größe & Co.` becomes `grosse-co`, other scripts are romanised; a name that has no letters becomes `fallback`.
    static func of(_ name: String, fallback: String) -> String {
        let latin = name.applyingTransform(StringTransform("Any-Latin; Latin-ASCII; Lower"), reverse: false) ?? name.lowercased()
        var slug = ""
        for character in latin.utf8 {
            if (97...122).contains(character) || (48...57).contains(character) {
                slug.unicodeScalars.append(Unicode.Scalar(character))
            } else if character < 128, character != UInt8(ascii: "'"), !slug.isEmpty, !slug.hasSuffix("-") {
                slug += "-"
            }
            if slug.utf8.count >= longest { break }
        }
        if slug.hasSuffix("-") { slug.removeLast() }
        return slug.isEmpty ? fallback : slug
    }

    /// What is taken as a slug, the nicest first; the last is always free.
    static func candidates(_ name: String, fallback: String, details: [String] = []) -> [String] {
        let slug = of(name, fallback: fallback)
        return ([""] + (details + [random(5), random(16)]).map { "-" + $0 }).map { slug + $0 }
    }

    private static func random(_ length: Int) -> String {
        String((0..<length).map { _ in "0123456789abcdefghjkmnpqrstvwxyz".randomElement() ?? "0" })
    }
}

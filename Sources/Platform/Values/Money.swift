/// An amount in minor units of one ISO 4217 currency. Never a floating-point number.
public struct Money: Hashable, Sendable, Codable {
    public var amount: Int64
    public var currency: Currency

    public init(_ amount: Int64, _ currency: Currency) {
        self.amount = amount
        self.currency = currency
    }

    private enum CodingKeys: String, CodingKey { case amount, currency }
}

extension Money: CustomStringConvertible {
    /// `45.00 EUR`, with the currency's own number of decimals.
    public var description: String {
        let digits = currency.minorUnitDigits
        guard digits > 0 else { return "\(amount) \(currency.code)" }
        var scale: UInt64 = 1
        for _ in 0..<digits { scale *= 10 }
        let magnitude = amount.magnitude
        let fraction = String(magnitude % scale)
        let padding = String(repeating: "0", count: digits - fraction.count)
        return "\(amount < 0 ? "-" : "")\(magnitude / scale).\(padding)\(fraction) \(currency.code)"
    }
}

/// An ISO 4217 code in capital letters.
public struct Currency: Hashable, Sendable, LosslessStringConvertible {
    public let code: String

    /// Nil for anything that ISO 4217 does not list as money in circulation.
    public init?(_ code: String) {
        guard Currency.minorUnits[code] != nil else { return nil }
        self.code = code
    }

    public var description: String { code }
    public var minorUnitDigits: Int { Currency.minorUnits[code] ?? 2 }

    public static let eur = Currency("EUR")!

    private static let minorUnits: [String: Int] = {
        let two = """
            AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY \
            COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS \
            INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR \
            MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD \
            SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW
            """
        var units: [String: Int] = [:]
        for code in two.split(separator: " ") { units[String(code)] = 2 }
        for code in "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split(separator: " ") {
            units[String(code)] = 0
        }
        for code in "BHD IQD JOD KWD LYD OMR TND".split(separator: " ") { units[String(code)] = 3 }
        return units
    }()
}

extension Currency: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let currency = Currency(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "must be a currency code of ISO 4217 in capital letters, such as EUR")
        }
        self = currency
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(code)
    }
}

/// Splits `amount` into whole minor units in proportion to `weights`, so that the parts add up to it exactly
/// (largest remainder, ties to the earlier part). Without any weight the parts are as equal as possible.
public func apportion(_ amount: Int64, by weights: [Int64]) -> [Int64] {
    guard !weights.isEmpty else { return [] }
    let sum = weights.reduce(0, +)
    let weights = sum == 0 ? weights.map { _ in 1 } : weights
    let total = weights.reduce(0, +)
    let products = weights.map { amount.magnitude.multipliedFullWidth(by: UInt64($0)) }
    let divided = products.map { UInt64(total).dividingFullWidth($0) }
    var parts = divided.map { Int64($0.quotient) }
    let missing = Int64(amount.magnitude) - parts.reduce(0, +)
    let order = divided.indices.sorted { (divided[$1].remainder, $0) < (divided[$0].remainder, $1) }
    for index in order.prefix(Int(missing)) { parts[index] += 1 }
    return amount < 0 ? parts.map { -$0 } : parts
}

/// `amount` times a rate in basis points (1,900 is 19%), half up on minor units.
public func share(of amount: Int64, basisPoints: Int64) -> Int64 {
    let (product, overflow) = amount.multipliedReportingOverflow(by: basisPoints)
    precondition(!overflow, "amounts are bounded on entry")
    return (product + 5_000).flooredDivision(by: 10_000)
}

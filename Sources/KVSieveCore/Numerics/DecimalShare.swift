// A share of a count, exactly: 0.29 of 100 is 29, though the double nearest to 0.29 times 100 is 28.999999999999996.

/// A number that is meant as the shortest decimal that prints as it: numerator / 10^e.
public struct DecimalShare: Sendable {
    private let numerator: Int128
    private let denominator: Int128

    /// - Parameter value: finite, 0 ... 2^31. Below 1e-25 it is 0.
    public init(_ value: Double) {
        // "0.29", "1000.0", "5e-05"
        var digits: Int128 = 0
        var places = 0
        var exponent = 0
        var seenPoint = false
        var seenExponent = false
        var negative = false
        for character in value.description.utf8 {
            switch character {
            case UInt8(ascii: "."): seenPoint = true
            case UInt8(ascii: "e"): seenExponent = true
            case UInt8(ascii: "-"): negative = true
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                let digit = Int(character) - 48
                if seenExponent {
                    exponent = min(exponent * 10 + digit, 400)
                } else {
                    digits = digits * 10 + Int128(digit)
                    places += seenPoint ? 1 : 0
                }
            default: break
            }
        }
        places += negative ? exponent : -exponent
        // 10^25 times any count is within 128 bits; what is cut off is less than a part in 10^8 of so small a share.
        while places > 25 && digits > 0 {
            digits /= 10
            places -= 1
        }
        let fits = value.isFinite && value >= 0 && places <= 25 && places >= -10
        numerator = fits ? digits * Self.power(-places) : 0
        denominator = fits ? Self.power(places) : 1
    }

    private static func power(_ exponent: Int) -> Int128 {
        (0..<max(exponent, 0)).reduce(1) { power, _ in power * 10 }
    }

    public var isZero: Bool { numerator == 0 }

    /// floor(share * count). Counts are below 2^44.
    public func floor(of count: Int) -> Int { floor(count, plus: 0, over: 1) }

    /// floor((share * count + whole) / divisor); divisor above 0, the sum not negative.
    public func floor(_ count: Int, plus whole: Int, over divisor: Int) -> Int {
        Int(
            truncatingIfNeeded: (numerator * Int128(count) + denominator * Int128(whole))
                / (denominator * Int128(divisor)))
    }

    /// floor(count / share); share above 0.
    public func floor(dividing count: Int) -> Int {
        numerator == 0 ? 0 : Int(truncatingIfNeeded: Int128(count) * denominator / numerator)
    }

    /// (1 - share) * count + whole, rounded to the nearest, halves to even. The share is at most 1.
    public func roundedRest(of count: Int, plus whole: Int) -> Int {
        let value = (denominator - numerator) * Int128(count) + denominator * Int128(whole)
        let (quotient, rest) = value.quotientAndRemainder(dividingBy: denominator)
        let up = rest * 2 > denominator || rest * 2 == denominator && quotient % 2 == 1
        return Int(truncatingIfNeeded: quotient + (up ? 1 : 0))
    }

    /// The least of the decimals with up to `digits` places whose share of `count` is `least` or more; `least` is at most
    /// `count`, and above 0.
    public static func least(for least: Int, of count: Int, digits: Int = 6) -> Double {
        let power = Int(Self.power(digits))
        let (whole, overflow) = least.multipliedReportingOverflow(by: power)
        guard !overflow, count > 0 else { return 1 }
        return Double((whole + count - 1) / count) / Double(power)
    }

    /// floor(total * weight / sum) with weight = a * share - b and sum likewise: a part of a total that is divided by weights
    /// which the share has a part in.
    public func part(of total: Int, weight: (a: Int, b: Int), sum: (a: Int, b: Int)) -> Int {
        func value(_ pair: (a: Int, b: Int)) -> Int128 { Int128(pair.a) * numerator - Int128(pair.b) * denominator }
        let whole = value(sum)
        return whole > 0 ? Int(truncatingIfNeeded: Int128(total) * max(value(weight), 0) / whole) : 0
    }
}

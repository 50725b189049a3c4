// Shares of counts are exact: a real number is the shortest decimal that prints as it. Against arithmetic on strings of digits.
import TestSupport
import Testing

@testable import KVSieveCore

@Suite struct DecimalShareTests {
    /// In doubles these are 1367.9999999999998, 28.999999999999996, 7.999999999999999 and 2.9999999999999996.
    @Test func productsThatDoublesGetWrong() {
        #expect(DecimalShare(0.57).floor(of: 8 * 300) == 1368)
        #expect(DecimalShare(0.29).floor(of: 100) == 29 && DecimalShare(0.29).floor(of: 4 * 25_000) == 29_000)
        // f(l) of Task-KV: H 32, beta 0.35, m 0, L 64, layer 18: 32 * 0.35 * (63 - 18) / 63 = 504 / 63.
        #expect(DecimalShare(0.35).floor(32 * (63 - 18), plus: 0, over: 63) == 8)
        #expect(DecimalShare(0.1).floor(dividing: 3) == 30 && DecimalShare(0.3).floor(dividing: 3) == 10)
    }

    @Test func theEndsOfTheRange() {
        #expect(DecimalShare(1e-5).floor(of: 100_000) == 1 && DecimalShare(1e-5).floor(of: 99_999) == 0)
        #expect(DecimalShare(1).floor(of: 17) == 17 && DecimalShare(0).floor(of: 17) == 0)
        #expect(DecimalShare(0).isZero && !DecimalShare(1e-13).isZero && DecimalShare(0).floor(dividing: 5) == 0)
        #expect(DecimalShare(1000).floor(of: 1 << 40) == 1000 << 40)
        #expect(DecimalShare(2_147_483_647).floor(of: 3) == 6_442_450_941)
        // 17 digits, a hair above 0.3, and 16, a hair below it and below 1.
        #expect(DecimalShare(0.300_000_000_000_000_04).floor(of: 10) == 3)
        #expect(DecimalShare(0.299_999_999_999_999_9).floor(of: 10) == 2)
        #expect(DecimalShare(0.999_999_999_999_999_9).floor(of: 1 << 43) == (1 << 43) - 1)
        #expect(DecimalShare(.nan).isZero && DecimalShare(-1).isZero && DecimalShare(.infinity).isZero)
    }

    /// 3.5 and 4.5 are 4, 5.5 is 6, 2.5 is 2; 2.49 and 2.51 go to the nearest.
    @Test func halvesAreRoundedToEven() {
        #expect(
            DecimalShare(0.5).roundedRest(of: 3, plus: 2) == 4 && DecimalShare(0.5).roundedRest(of: 5, plus: 2) == 4)
        #expect(
            DecimalShare(0.5).roundedRest(of: 7, plus: 2) == 6 && DecimalShare(0.5).roundedRest(of: 1, plus: 2) == 2)
        #expect(
            DecimalShare(0.51).roundedRest(of: 1, plus: 2) == 2 && DecimalShare(0.49).roundedRest(of: 1, plus: 2) == 3)
        #expect(
            DecimalShare(0.9).roundedRest(of: 5, plus: 0) == 0 && DecimalShare(0.7).roundedRest(of: 5, plus: 0) == 2)
        #expect(DecimalShare(0).roundedRest(of: 9, plus: 1) == 10 && DecimalShare(1).roundedRest(of: 9, plus: 1) == 1)
    }

    /// A part of a total by weights that the share has a part in: 40 * (3 * 2 - 2 * 0.5 ...): see WindowKV's W4.
    @Test func partsAreByExactWeights() {
        // lambda 2.5: weights 4 lambda - 4, 2 lambda, 4 of 2 * 6 + 2 * 5 + 4 = 26.
        let (share, sum) = (DecimalShare(2.5), (a: 12, b: 4))
        #expect(share.part(of: 40, weight: (4, 4), sum: sum) == 9)
        #expect(share.part(of: 40, weight: (2, 0), sum: sum) == 7)
        #expect(share.part(of: 26, weight: (4, 4), sum: sum) == 6, "exactly")
        #expect(share.part(of: 40, weight: (1, 3), sum: sum) == 0, "a weight below 0 has no part")
        #expect(share.part(of: 40, weight: (1, 0), sum: (a: 0, b: 1)) == 0)
    }

    /// The least decimal of six places, and no less.
    @Test func theLeastShareIsEnoughAndTheNextBelowIsNot() {
        #expect(DecimalShare.least(for: 1, of: 3) == 0.333_334 && DecimalShare.least(for: 3, of: 10) == 0.3)
        #expect(DecimalShare.least(for: 7, of: 7) == 1)
        // As doubles 0.0048 of 625 and 0.00224 of 3125 are a little less than 3 and 7.
        #expect(DecimalShare.least(for: 3, of: 625) == 0.0048 && DecimalShare(0.0048).floor(of: 625) == 3)
        #expect(DecimalShare.least(for: 7, of: 3125) == 0.00224 && DecimalShare(0.00224).floor(of: 2 * 3125) == 14)
        var random = SplitMix(5)
        for _ in 0..<3000 {
            let count = 1 + random.below(100_000)
            let least = 1 + random.below(count)
            let share = DecimalShare.least(for: least, of: count)
            #expect(DecimalShare(share).floor(of: count) >= least, "\(least) of \(count), seed 5")
            let below = (share * 1e6).rounded() - 1
            #expect(DecimalShare(below / 1e6).floor(of: count) < least, "\(least) of \(count), seed 5")
        }
    }
}

/// A whole number as decimal digits, the lowest first.
private struct Digits: Equatable {
    var digits: [Int]

    init(_ text: some StringProtocol) { digits = text.reversed().compactMap(\.wholeNumberValue) }
    init(_ number: Int) { self.init(String(number)) }

    func times(_ other: Digits) -> Digits {
        var out = Digits("")
        out.digits = Array(repeating: 0, count: digits.count + other.digits.count)
        for (i, a) in digits.enumerated() {
            for (j, b) in other.digits.enumerated() { out.digits[i + j] += a * b }
        }
        return out.carried()
    }

    func plus(_ other: Digits) -> Digits {
        var out = Digits("")
        out.digits = (0..<max(digits.count, other.digits.count) + 1).map { at($0) + other.at($0) }
        return out.carried()
    }

    private func at(_ index: Int) -> Int { digits.indices.contains(index) ? digits[index] : 0 }

    private func carried() -> Digits {
        var (out, carry) = (self, 0)
        for index in out.digits.indices {
            let sum = out.digits[index] + carry
            (out.digits[index], carry) = (sum % 10, sum / 10)
        }
        return out
    }

    /// floor(self / 10^places / divisor), by long division.
    func floor(places: Int, over divisor: Int = 1) -> Int {
        var (quotient, rest) = (0, 0)
        for digit in digits.dropFirst(places).reversed() {
            rest = rest * 10 + digit
            (quotient, rest) = (quotient * 10 + rest / divisor, rest % divisor)
        }
        return quotient
    }
}

@Suite struct DecimalShareProperties {
    private static let seed: UInt64 = 77

    /// "0.0314" of up to `most` digits, as digits behind the point.
    private func draw(_ random: inout SplitMix) -> (text: String, places: Int) {
        let count = 1 + random.below(15)
        let zeros = random.below(4)
        let digits = (0..<count).map { _ in String(random.below(10)) }.joined()
        return (String(repeating: "0", count: zeros) + digits, zeros + count)
    }

    @Test func floorsAreThoseOfTheDecimalAsItIsWritten() throws {
        var random = SplitMix(Self.seed)
        for _ in 0..<4000 {
            let (text, places) = draw(&random)
            let share = DecimalShare(try #require(Double("0." + text)))
            let (count, whole, divisor) = (random.below(1 << 40), random.below(1 << 20), 1 + random.below(1000))
            let product = Digits(text).times(Digits(count))
            #expect(share.floor(of: count) == product.floor(places: places), "0.\(text) * \(count), seed 77")
            let sum = product.plus(Digits(String(whole) + String(repeating: "0", count: places)))
            #expect(
                share.floor(count, plus: whole, over: divisor) == sum.floor(places: places, over: divisor),
                "(0.\(text) * \(count) + \(whole)) / \(divisor), seed 77")
        }
    }

    /// Of numbers that repeat: 17 digits are taken as they print.
    @Test func everyDoubleIsItsShortestDecimal() throws {
        var random = SplitMix(Self.seed)
        for _ in 0..<4000 {
            let value = Double.random(in: 0.1..<1, using: &random)
            let text = String(value.description.dropFirst(2))
            let count = random.below(1 << 40)
            let product = Digits(text).times(Digits(count))
            #expect(DecimalShare(value).floor(of: count) == product.floor(places: text.count), "\(value) * \(count)")
        }
    }

    /// q = floor(count / share) is the one number with q * share <= count < (q + 1) * share.
    @Test func quotientsAreExact() throws {
        var random = SplitMix(Self.seed)
        for _ in 0..<2000 {
            let (whole, tenths) = (1 + random.below(1000), random.below(1000))
            let share = DecimalShare(Double(whole) + Double(tenths) / 1000)
            let count = random.below(1 << 40)
            #expect(share.floor(dividing: count) == count * 1000 / (whole * 1000 + tenths), "seed 77")
        }
    }

    @Test func roundedRestsAreTheNearestAndHalvesEven() throws {
        var random = SplitMix(Self.seed)
        for _ in 0..<4000 {
            let (thousandths, count, whole) = (random.below(1001), random.below(1 << 24), random.below(1 << 20))
            // In thousandths all is whole.
            let value = (1000 - thousandths) * count + 1000 * whole
            let (quotient, rest) = value.quotientAndRemainder(dividingBy: 1000)
            let up = rest > 500 || rest == 500 && quotient % 2 == 1
            #expect(
                DecimalShare(Double(thousandths) / 1000).roundedRest(of: count, plus: whole) == quotient + (up ? 1 : 0),
                "\(thousandths) of \(count) + \(whole), seed 77")
        }
    }
}

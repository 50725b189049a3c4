// Doubles rounded once to the types of tensors: every finite number of 16 bits, its neighbours and what lies between them.
import TestSupport
import Testing

@testable import KVSieveCore

private typealias Type16 = (
    name: String, rounded: @Sendable (Double) -> UInt16, widen: @Sendable (UInt16) -> Double, infinity: UInt16
)

private let types: [Type16] = [
    ("bfloat16", Rounding.bfloat16, { Double(Float(bitPattern: UInt32($0) << 16)) }, 0x7f80),
    ("float16", Rounding.float16, { Double(Float16(bitPattern: $0)) }, 0x7c00),
]

@Suite struct RoundingTests {
    @Test(arguments: types.indices) func aNumberOfTheTypeIsItselfAndATieGoesToTheEvenOne(_ index: Int) {
        let type = types[index]
        for bits in 0..<type.infinity {
            let low = type.widen(bits)
            // What follows the greatest number in the type's spacing is 2^16 or 2^128.
            let high =
                bits + 1 == type.infinity ? low + (low - type.widen(bits - 1)) : type.widen(bits + 1)
            let middle = low + (high - low) / 2
            let even = bits % 2 == 0 ? bits : bits + 1
            let found = [low, low.nextUp, middle.nextDown, middle, middle.nextUp, high.nextDown].map(type.rounded)
            let expected = [bits, bits, bits, even, bits + 1, bits + 1]
            if found != expected { #expect(found == expected, "\(type.name) \(bits)") }
            let negative = [-low, -low.nextUp, -middle.nextDown, -middle, -middle.nextUp, -high.nextDown]
            let mirrored = expected.map { $0 | 0x8000 }
            if negative.map(type.rounded) != mirrored { #expect(negative.map(type.rounded) == mirrored, "-\(bits)") }
        }
    }

    @Test(arguments: types.indices) func beyondTheRangeIsInfinityAndNaNStaysNaN(_ index: Int) {
        let type = types[index]
        for x in [Double.infinity, .greatestFiniteMagnitude, 1e300, 3.5e38] {
            #expect(type.rounded(x) == type.infinity, "\(x)")
            #expect(type.rounded(-x) == type.infinity | 0x8000, "\(-x)")
        }
        for x in [Double.nan, -.nan, .signalingNaN] { #expect(type.widen(type.rounded(x)).isNaN, "\(x)") }
        for x in [1e-300, .leastNonzeroMagnitude] {
            #expect(type.rounded(x) == 0 && type.rounded(-x) == 0x8000, "\(x)")
        }
    }
}

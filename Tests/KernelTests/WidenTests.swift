// 16-bit floats to 32-bit: every bit pattern, every length, in vectors and in the tail.
import CSupport
import Foundation
import TestSupport
import Testing

@testable import KVSieveCore

private enum Half: CaseIterable { case f16, bf16 }

private let patterns = (0...UInt16.max).map { $0 }

private func widen(_ table: Table, _ half: Half, _ source: UnsafePointer<UInt16>, _ target: Guarded) {
    switch half {
    case .f16: table.kernels.widen_f16(source, target.start, Int64(target.count))
    case .bf16: table.kernels.widen_bf16(source, target.start, Int64(target.count))
    }
}

private func exact(_ half: Half, _ bits: UInt16) -> Float {
    half == .f16 ? Float(Float16(bitPattern: bits)) : Float(bitPattern: UInt32(bits) << 16)
}

/// The patterns whose float is wrong; a NaN may be any NaN.
private func wrong(_ half: Half, _ source: [UInt16], _ floats: [Float]) -> [UInt16] {
    zip(source, floats).filter { bits, float in
        let expected = exact(half, bits)
        return expected.isNaN ? !float.isNaN : float.bitPattern != expected.bitPattern
    }.map(\.0)
}

@Suite struct WidenTests {
    @Test(arguments: Table.all, Half.allCases) private func everyPatternIsWidenedExactlyInVectors(
        _ table: Table, _ half: Half
    ) {
        let target = Guarded(patterns.count)
        AtEnd(patterns).read { widen(table, half, $0, target) }
        #expect(wrong(half, patterns, target.values) == [])
        #expect(target.intact)
    }

    @Test(arguments: Table.all, Half.allCases) private func everyPatternIsWidenedExactlyInTheTail(
        _ table: Table, _ half: Half
    ) {
        let one = Guarded(1)
        let floats = patterns.map { bits -> Float in
            var bits = bits
            widen(table, half, &bits, one)
            return one.start[0]
        }
        #expect(wrong(half, patterns, floats) == [])
        #expect(one.intact)
    }

    @Test(arguments: Table.all, Half.allCases) private func nothingIsWrittenPastTheEnd(_ table: Table, _ half: Half) {
        var random = SplitMix(11)
        for length in lengths {
            let source = (0..<length).map { _ in UInt16(truncatingIfNeeded: random.next()) }
            for offset in 0..<4 {
                let target = Guarded(length, offset: offset)
                AtEnd(source).read { widen(table, half, $0, target) }
                #expect(wrong(half, source, target.values) == [], "length \(length), seed 11")
                #expect(target.intact, "length \(length) offset \(offset)")
            }
        }
    }

    #if arch(x86_64)
    /// What the next two, and the exponentials, go by.
    @Test func settingTheModesHasAnEffect() {
        #expect(withSubnormalsFlushed { subnormalTimes(1) } == 0)
        #expect(subnormalTimes(1) == Float(bitPattern: 0x0000_0400))
    }
    #endif

    /// A host may have set flush-to-zero and denormals-are-zero: subnormal halves are normal floats all the same.
    @Test(arguments: Table.all) private func subnormalHalvesSurviveFlushToZero(_ table: Table) {
        let source = AtEnd(patterns)
        let vectors = Guarded(patterns.count)
        let tail = Guarded(patterns.count)
        withSubnormalsFlushed {
            source.read { source in
                table.kernels.widen_f16(source, vectors.start, Int64(patterns.count))
                for j in patterns.indices { table.kernels.widen_f16(source + j, tail.start + j, 1) }
            }
        }
        #expect(wrong(.f16, patterns, vectors.values) == [])
        #expect(wrong(.f16, patterns, tail.values) == [])
    }

    /// bfloat16 has subnormals that are subnormal floats: moved, not computed with.
    @Test(arguments: Table.all) private func brainFloatsAreMovedUnderFlushToZero(_ table: Table) {
        let source = AtEnd(patterns)
        let target = Guarded(patterns.count)
        withSubnormalsFlushed {
            source.read { table.kernels.widen_bf16($0, target.start, Int64(patterns.count)) }
        }
        #expect(target.values.bits == patterns.map { UInt32($0) << 16 })
    }

    @Test(arguments: Table.others, Half.allCases) private func tablesAgreeBitForBitButForTheKindOfNaN(
        _ table: Table, _ half: Half
    ) {
        let (mine, narrow) = (Guarded(patterns.count), Guarded(patterns.count))
        let source = AtEnd(patterns)
        source.read { widen(table, half, $0, mine) }
        source.read { widen(.narrowest, half, $0, narrow) }
        let different = patterns.indices.filter {
            mine.start[$0].bitPattern != narrow.start[$0].bitPattern
                && !(half == .f16 && mine.start[$0].isNaN && narrow.start[$0].isNaN)
        }
        #expect(different == [])
    }
}

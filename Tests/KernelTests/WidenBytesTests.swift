// 8-bit floats and ggml's blocks to 32-bit floats: every byte, random blocks, every length, against the definitions.
import CSupport
import Foundation
import TestSupport
import Testing

@testable import KVSieveCore

private enum Eight: CaseIterable { case e4m3, e5m2 }

private let bytes = (0...UInt8.max).map { $0 }

private func widen(_ table: Table, _ eight: Eight, _ source: UnsafePointer<UInt8>, _ target: Guarded) {
    switch eight {
    case .e4m3: table.kernels.widen_f8_e4m3(source, target.start, Int64(target.count))
    case .e5m2: table.kernels.widen_f8_e5m2(source, target.start, Int64(target.count))
    }
}

private func widen(_ table: Table, _ type: ElementType, _ source: UnsafePointer<UInt8>, _ target: Guarded) {
    let kernel = type == .q8 ? table.kernels.widen_q8_0 : table.kernels.widen_q4_0
    kernel(source, target.start, Int64(target.count))
}

/// The bytes whose float is wrong; a NaN may be any NaN.
private func wrong(_ eight: Eight, _ source: [UInt8], _ floats: [Float]) -> [UInt8] {
    zip(source, floats).filter { byte, float in
        let expected = eight == .e4m3 ? float8e4m3(byte) : float8e5m2(byte)
        return expected.isNaN ? !float.isNaN : float.bitPattern != expected.bitPattern
    }.map(\.0)
}

@Suite struct WidenBytesTests {
    /// Numbers of the formats' definition (OCP 8-bit floating point, revision 1.0, tables 1 and 2).
    @Test func theReferenceHasTheNumbersOfTheDefinition() {
        let e4m3: [(UInt8, Float)] = [
            (0x00, 0), (0x01, 0x1p-9), (0x07, 0x1.cp-7), (0x08, 0x1p-6), (0x38, 1), (0x7e, 448), (0xfe, -448),
            (0x80, -0.0),
        ]
        let e5m2: [(UInt8, Float)] = [
            (0x00, 0), (0x01, 0x1p-16), (0x03, 0x1.8p-15), (0x04, 0x1p-14), (0x3c, 1), (0x7b, 57344), (0x7c, .infinity),
            (0xfc, -.infinity),
        ]
        for (byte, number) in e4m3 { #expect(float8e4m3(byte).bitPattern == number.bitPattern, "\(byte)") }
        for (byte, number) in e5m2 { #expect(float8e5m2(byte).bitPattern == number.bitPattern, "\(byte)") }
        #expect(bytes.filter { !float8e4m3($0).isFinite } == [0x7f, 0xff])
        #expect(bytes.filter { float8e5m2($0).isNaN } == [0x7d, 0x7e, 0x7f, 0xfd, 0xfe, 0xff])
    }

    @Test(arguments: Table.all, Eight.allCases) private func everyByteIsWidenedExactly(_ table: Table, _ eight: Eight) {
        let (vectors, one) = (Guarded(bytes.count), Guarded(1))
        AtEnd(bytes).read { widen(table, eight, $0, vectors) }
        #expect(wrong(eight, bytes, vectors.values) == [])
        #expect(vectors.intact)
        let tail = bytes.map { byte -> Float in
            AtEnd([byte]).read { widen(table, eight, $0, one) }
            return one.start[0]
        }
        #expect(wrong(eight, bytes, tail) == [])
        #expect(one.intact)
    }

    @Test(arguments: Table.all, Eight.allCases) private func nothingIsWrittenPastTheEnd(_ table: Table, _ eight: Eight)
    {
        var random = SplitMix(12)
        for length in lengths {
            let source = random.bytes(length)
            for offset in 0..<4 {
                let target = Guarded(length, offset: offset)
                AtEnd(source).read { widen(table, eight, $0, target) }
                #expect(wrong(eight, source, target.values) == [], "length \(length), seed 12")
                #expect(target.intact, "length \(length) offset \(offset)")
            }
        }
    }

    @Test(arguments: Table.all, Eight.allCases) private func subnormalsSurviveFlushToZero(
        _ table: Table, _ eight: Eight
    ) {
        let target = Guarded(bytes.count)
        let source = AtEnd(bytes)
        withSubnormalsFlushed { source.read { widen(table, eight, $0, target) } }
        #expect(wrong(eight, bytes, target.values) == [])
    }

    /// Random bits for scales too: subnormal, infinite and NaN ones among them.
    @Test(arguments: Table.all, [ElementType.q8, .q4]) private func blocksAreScaleTimesWholeNumbers(
        _ table: Table, _ type: ElementType
    ) {
        for blocks in [0, 1, 2, 3, 7, 64, 1000] {
            var random = SplitMix(UInt64(blocks))
            let source = random.bytes(blocks * type.size)
            let expected = decoded(type, source)
            for offset in 0..<4 {
                let target = Guarded(blocks * 32, offset: offset)
                AtEnd(source).read { widen(table, type, $0, target) }
                let wrong = zip(expected, target.values).filter {
                    $0.isNaN ? !$1.isNaN : $0.bitPattern != $1.bitPattern
                }
                #expect(wrong.isEmpty, "\(blocks) blocks, seed \(blocks)")
                #expect(target.intact)
            }
        }
    }

    /// One block of each, worked by hand.
    @Test(arguments: Table.all) private func aBlockIsLaidOutAsGGMLHasIt(_ table: Table) {
        // Scale 0.5 is 0x3800, its low byte first.
        let half: [UInt8] = [0, 0x38]
        let signed = half + (0..<32).map { (i: Int) -> UInt8 in UInt8(bitPattern: Int8(i - 16) * 8) }
        let eight = Guarded(32)
        AtEnd(signed).read { widen(table, .q8, $0, eight) }
        let ofEight = (0..<32).map { (i: Int) -> Float in Float(i - 16) * 4 }
        #expect(eight.values == ofEight)
        // Number i and number 16 + i share byte i.
        let halves = half + (0..<16).map { (i: Int) -> UInt8 in UInt8(i) | UInt8(15 - i) << 4 }
        let four = Guarded(32)
        AtEnd(halves).read { widen(table, .q4, $0, four) }
        let ofFour = (0..<32).map { (i: Int) -> Float in Float(i < 16 ? i - 8 : 23 - i) / 2 }
        #expect(four.values == ofFour)
    }
}

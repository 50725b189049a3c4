// Minimum and logarithms of rows, as probabilities that an engine gives are read, against the standard library.
import CSupport
import Foundation
import TestSupport
import Testing

@testable import KVSieveCore

@Suite struct RowMinimumTests {
    @Test(arguments: Table.all, Numbers.allCases) func itIsTheLeast(_ table: Table, _ numbers: Numbers) {
        var random = SplitMix(72)
        for length in lengths {
            let row = numbers.make(length, &random)
            let least = AtEnd(row).read { table.kernels.row_minimum($0, Int64(length)) }
            let copy = Guarded(length, offset: length % 4)
            let again = AtEnd(row).read { table.kernels.copy_minimum($0, Int64(length), copy.start) }
            #expect(again == least && copy.intact && copy.values.bits == row.bits, "length \(length)")
            #expect(least == row.min() ?? .infinity, "length \(length) \(numbers) seed 72")
        }
    }

    @Test(arguments: Table.all) func itIsFoundAtAnyPlaceAndSoIsABadNumber(_ table: Table) {
        for length in 1...67 {
            for place in 0..<length {
                var row = [Float](repeating: 0.5, count: length) + [.nan, -9]
                for least in [Float(-1), 0.25, -Float.greatestFiniteMagnitude] {
                    row[place] = least
                    #expect(table.kernels.row_minimum(row, Int64(length)) == least, "\(place) of \(length)")
                }
                for bad in [Float.nan, .infinity, -.infinity] {
                    row[place] = bad
                    #expect(table.kernels.row_minimum(row, Int64(length)).isNaN, "\(bad) at \(place) of \(length)")
                }
            }
        }
    }
}

@Suite struct RowLogarithmTests {
    private func logarithms(_ table: Table, _ row: [Float], inPlace: Bool = false) -> (values: [Float], intact: Bool) {
        let out = inPlace ? Guarded(row) : Guarded(row.count, offset: row.count % 4)
        if inPlace {
            table.kernels.row_logarithms(out.start, Int64(row.count), out.start)
        } else {
            AtEnd(row).read { table.kernels.row_logarithms($0, Int64(row.count), out.start) }
        }
        return (out.values, out.intact)
    }

    /// All sizes of numbers, the subnormal ones too; near 1 the logarithm itself is small.
    @Test(arguments: Table.all) func theyAreThoseOfFoundation(_ table: Table) {
        var random = SplitMix(73)
        for length in lengths {
            let row = (0..<length).map { j -> Float in
                switch j % 4 {
                case 0: return Float(bitPattern: UInt32(random.below(0x7f80_0000 - 1)) + 1)
                case 1: return 1 + Float.random(in: -0.01...0.01, using: &random)
                case 2: return Float(bitPattern: UInt32(random.below(0x0080_0000 - 1)) + 1)
                default: return Float.random(in: 0.001...1, using: &random)
                }
            }
            let found = logarithms(table, row)
            #expect(found.intact && logarithms(table, row, inPlace: true).values.bits == found.values.bits)
            let bad = row.indices.filter { j in
                let exact = log(Double(row[j]))
                return !(abs(Double(found.values[j]) - exact) <= 3e-7 * abs(exact) + 1e-12)
            }
            #expect(bad == [], "\(bad.map { row[$0] }), length \(length), seed 73")
        }
    }

    @Test(arguments: Table.all) func ofZeroItIsTheLowestAndOfOneExactlyZero(_ table: Table) {
        for length in 1...67 {
            let row = (0..<length).map { $0 % 3 == 0 ? Float(0) : $0 % 3 == 1 ? -0.0 : 1 }
            let expected = row.map { $0 == 0 ? -Float.greatestFiniteMagnitude : 0 }
            #expect(logarithms(table, row).values == expected, "length \(length)")
        }
    }

    /// "Equal numbers have equal logarithms at every index."
    @Test(arguments: Table.all) func aNumberAloneGivesTheSameBits(_ table: Table) {
        var random = SplitMix(74)
        for length in 1...67 {
            let row = random.floats(length, in: 0...1)
            #expect(
                logarithms(table, row).values.bits == row.map { logarithms(table, [$0]).values[0] }.bits, "seed 74")
        }
    }
}

// Rows that join sums over rows, against loops: each number is one or two additions, so the bits are those of the loop.
import CSupport
import Foundation
import TestSupport
import Testing

@testable import KVSieveCore

@Suite struct RollingTests {
    @Test(arguments: Table.all, Numbers.allCases) func rollRowAddsAndCopies(_ table: Table, _ numbers: Numbers) {
        var random = SplitMix(81)
        for length in lengths {
            let (newest, suffix) = (numbers.make(length, &random), numbers.make(length, &random))
            let before = numbers.make(length, &random)
            for (offset, hasSuffix) in [true, false].enumerated() {
                let prefix = Guarded(before, offset: offset)
                let (row, totals) = (Guarded(length, offset: 3 - offset), Guarded(length, offset: length % 4))
                AtEnd(newest).read { newest in
                    AtEnd(suffix).read { suffix in
                        table.kernels.roll_row(
                            newest, hasSuffix ? suffix : nil, Int64(length), prefix.start, row.start,
                            hasSuffix ? nil : suffix, totals.start)
                    }
                }
                let sums = zip(newest, before).map { $0 + $1 }
                let name = "length \(length), \(numbers), suffix \(hasSuffix), seed 81"
                #expect(prefix.values.bits == sums.bits, "\(name)")
                #expect(row.values.bits == newest.bits, "\(name)")
                #expect(totals.values.bits == (hasSuffix ? zip(sums, suffix).map { $0 + $1 } : sums).bits, "\(name)")
                #expect(prefix.intact && row.intact && totals.intact, "\(name)")
            }
        }
    }

    @Test(arguments: Table.all, Numbers.allCases) func runRowAddsInDouble(_ table: Table, _ numbers: Numbers) {
        var random = SplitMix(82)
        for length in lengths {
            let newest = numbers.make(length, &random)
            // Large beside the row, so that an addition in float would lose it.
            let sums = numbers.make(length, &random).map { Double($0) * 1e6 + 1 / 3 }
            // One more than may be written.
            var totals = [Double](repeating: -7, count: length + 1)
            let rounded = Guarded(length, offset: length % 4)
            AtEnd(newest).read { newest in
                AtEnd(sums).read { table.kernels.run_row(newest, $0, Int64(length), &totals, rounded.start) }
            }
            let exact = zip(newest, sums).map { Double($0) + $1 }
            let name = "length \(length), \(numbers), seed 82"
            #expect(totals == exact + [-7], "\(name)")
            #expect(rounded.values.bits == exact.map { Float($0) }.bits && rounded.intact, "\(name)")
        }
    }

    @Test(arguments: Table.all, Numbers.allCases) func weightedRowsAddsEachRow(_ table: Table, _ numbers: Numbers) {
        var random = SplitMix(83)
        for count in 0...9 {
            for length in lengths {
                let stride = length + [0, 1, 5, 16][(count + length) % 4]
                let rows = numbers.make(max(0, count * stride - (stride - length)), &random)
                let weights = random.floats(count, in: 0...1)
                let out = Guarded(length, offset: (count + length) % 4)
                AtEnd(rows).read { rows in
                    AtEnd(weights).read {
                        table.kernels.weighted_rows(rows, Int64(count), Int64(stride), $0, Int64(length), out.start)
                    }
                }
                let bad = (0..<length).filter { j in
                    let terms = (0..<count).map { Double(weights[$0]) * Double(rows[$0 * stride + j]) }
                    let size = terms.reduce(0) { $0 + abs($1) }
                    let error = abs(Double(out.start[j]) - terms.reduce(0, +))
                    return !(error <= Double(count + 1) * (rounding * size + smallest))
                }
                #expect(bad == [] && out.intact, "\(count) rows of \(length), \(numbers), seed 83")
            }
        }
    }

    /// A bad number shows where it is, and nowhere else.
    @Test(arguments: Table.all, [Float.nan, .infinity]) func badNumbersStayInTheirColumn(_ table: Table, _ bad: Float) {
        let length = 40
        for place in 0..<length {
            var rows = [Float](repeating: 1, count: 2 * length)
            rows[length + place] = bad
            var out = [Float](repeating: 0, count: length)
            table.kernels.weighted_rows(rows, 2, Int64(length), [0.5, 0.25], Int64(length), &out)
            #expect(out.indices.allSatisfy { out[$0].isFinite == ($0 != place) }, "\(bad) at \(place)")
        }
    }
}

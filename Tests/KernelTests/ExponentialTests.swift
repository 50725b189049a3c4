// The exponentials of every table against Foundation's in double.
import CSupport
import Foundation
import TestSupport
import Testing

@testable import KVSieveCore

/// tile_exponentials with one reference for all rows.
private func exponentials(_ table: Table, _ arguments: [Float], reference: Float = 0) -> [Float] {
    let lanes = table.lanes
    let columns = (arguments.count + lanes - 1) / lanes
    var tile = arguments + [Float](repeating: 0, count: columns * lanes - arguments.count)
    var sums = [Float](repeating: 0, count: lanes)
    table.kernels.tile_exponentials(
        &tile, Int64(columns), 1, Int64(lanes), [Float](repeating: reference, count: lanes), &sums)
    return Array(tile.prefix(arguments.count))
}

private func worstError(_ table: Table, _ arguments: [Float]) -> (error: Double, at: Float) {
    var worst = (error: 0.0, at: Float(0))
    for (x, y) in zip(arguments, exponentials(table, arguments)) {
        let exact = exp(Double(x))
        let error = abs(Double(y) - exact) / exact
        if !(error <= worst.error) { worst = (error, x) }
    }
    return worst
}

@Suite struct ExponentialTests {
    /// Three million points evenly, and the floats around every boundary k ln 2 / 2 of the reduction.
    @Test(arguments: Table.all) func relativeErrorIsAtMostTwoInTenMillion(_ table: Table) {
        var worst = (error: 0.0, at: Float(0))
        for part in 0..<30 {
            let arguments = (0..<100_000).map { -87 * (Float(part) + Float($0) / 100_000) / 30 }
            let found = worstError(table, arguments)
            if found.error > worst.error { worst = found }
        }
        let boundaries = (1...251).flatMap { half -> [Float] in
            let middle = Float(-Double(half) * log(2) / 2).bitPattern
            return (0..<2000).map { Float(bitPattern: middle - 1000 + $0) }
        }
        let found = worstError(table, boundaries.filter { $0 >= -87 })
        if found.error > worst.error { worst = found }
        print("exponential, \(table.testDescription): greatest relative error \(worst.error) at \(worst.at)")
        #expect(worst.error <= 2e-7, "at \(worst.at)")
    }

    /// The whole range of tiny arguments, subnormal ones among them.
    @Test(arguments: Table.all) func nearZeroItIsOne(_ table: Table) {
        let arguments = stride(from: UInt32(0x8000_0000), to: 0xb380_0000, by: 0x1_0001).map { Float(bitPattern: $0) }
        #expect(exponentials(table, arguments).allSatisfy { abs($0 - 1) <= 0x1p-23 })
        #expect(exponentials(table, [0, -0.0]) == [1, 1])
    }

    @Test(arguments: Table.all) func belowMinus87ItIsZeroAndNeverSubnormal(_ table: Table) {
        let last = Float(-87)
        let beyond = (1...100_000).map { Float(bitPattern: last.bitPattern + UInt32($0)) }
        #expect(exponentials(table, beyond).bits.allSatisfy { $0 == 0 })
        #expect(
            exponentials(table, [-87.33, -88, -103, -1e4, -1e38, -.greatestFiniteMagnitude, -.infinity]).bits == [
                0, 0, 0, 0, 0, 0, 0,
            ])
        #expect(exponentials(table, [last])[0].isNormal)
    }

    /// Nothing subnormal comes in or out, so a host's modes change nothing.
    @Test(arguments: Table.all) func flushToZeroChangesNothing(_ table: Table) {
        let arguments = (0..<100_000).map { -100 * Float($0) / 100_000 } + [-Float.leastNonzeroMagnitude, -0.0]
        let plain = exponentials(table, arguments)
        #expect(withSubnormalsFlushed { exponentials(table, arguments) }.bits == plain.bits)
    }

    @Test(arguments: Table.all) func aDifferenceThatOverflowsIsZero(_ table: Table) {
        #expect(exponentials(table, [-3e38, 3e38], reference: 3e38) == [0, 1])
    }

    /// Rows of every kind beside each other, each with its own reference; masked places and masked rows are 0.
    @Test(arguments: Table.all) func eachRowHasItsOwnMaximumAndSum(_ table: Table) {
        var random = SplitMix(51)
        for columns in lengths where columns <= 200 {
            for vectors in 1...5 {
                let width = vectors * table.lanes
                let stride = width + vectors % 4
                var logits = random.floats(max(0, columns * stride - (stride - width)), in: -40...40)
                for j in logits.indices where random.below(5) == 0 { logits[j] = -.infinity }
                // The first row is masked all over.
                for j in 0..<columns { logits[j * stride] = -.infinity }
                let maxima = (0..<width).map { r in (0..<columns).map { logits[$0 * stride + r] }.max() ?? -.infinity }
                let tile = Guarded(logits, offset: columns % 4)
                let sums = Guarded(width, offset: vectors % 4)
                AtEnd(maxima).read {
                    table.kernels.tile_exponentials(
                        tile.start, Int64(columns), Int64(vectors), Int64(stride), $0, sums.start)
                }
                let name = "\(columns) columns, \(vectors) vectors, seed 51"
                #expect(tile.intact && sums.intact, "\(name)")
                var bad: [Int] = []
                for r in 0..<width {
                    var total = 0.0
                    for j in stride == 0 ? 0..<0 : 0..<columns {
                        let logit = logits[j * stride + r]
                        let exact = logit == -.infinity ? 0 : exp(Double(logit - maxima[r]))
                        let got = Double(tile.start[j * stride + r])
                        if !(abs(got - exact) <= 2e-7 * exact) { bad.append(j * stride + r) }
                        total += exact
                    }
                    if !(abs(Double(sums.start[r]) - total) <= 5e-7 * total) { bad.append(-1 - r) }
                }
                #expect(bad == [], "\(name)")
                for j in 0..<max(0, columns - 1) {
                    for gap in width..<stride
                    where tile.start[j * stride + gap].bitPattern != logits[j * stride + gap].bitPattern {
                        Issue.record("written between columns: \(name)")
                    }
                }
            }
        }
    }

    @Test(arguments: Table.all) func noColumnsSumToZero(_ table: Table) {
        let sums = Guarded(2 * table.lanes)
        var nothing: Float = 7
        table.kernels.tile_exponentials(
            &nothing, 0, 2, Int64(2 * table.lanes), [Float](repeating: 0, count: 2 * table.lanes), sums.start)
        #expect(sums.values.allSatisfy { $0 == 0 })
        #expect(nothing == 7)
    }

    /// Over as many columns as a tile has; plain summation of n terms errs by at most n roundings.
    @Test(arguments: Table.all) func sumsAreThoseOfTheColumns(_ table: Table) {
        let (lanes, count) = (table.lanes, AttentionTiles.longestTile)
        var tile = (0..<count * lanes).map { -20 * Float($0 % 977) / 977 }
        var sums = [Float](repeating: 0, count: lanes)
        table.kernels.tile_exponentials(
            &tile, Int64(count), 1, Int64(lanes), [Float](repeating: 0, count: lanes), &sums)
        for lane in 0..<lanes {
            let exact = stride(from: lane, to: tile.count, by: lanes).reduce(0.0) { $0 + Double(tile[$1]) }
            #expect(abs(Double(sums[lane]) - exact) <= Double(count) * rounding * exact)
        }
    }

    @Test(arguments: Table.others) func tablesAgreeToTheirRoundings(_ table: Table) {
        let arguments = (0..<300_000).map { -87 * Float($0) / 300_000 }
        let (mine, narrow) = (exponentials(table, arguments), exponentials(.narrowest, arguments))
        #expect(zip(mine, narrow).allSatisfy { abs($0 - $1) <= 4e-7 * $1 })
    }
}

// Sums along rows and columns against double loops.
import CSupport
import Foundation
import TestSupport
import Testing

@testable import KVSieveCore

@Suite struct ReduceTests {
    @Test(arguments: Table.all, Numbers.allCases) func squaredNormIsTheSumOfSquares(_ table: Table, _ numbers: Numbers)
    {
        var random = SplitMix(31)
        for length in lengths {
            let row = numbers.make(length, &random)
            let sum = AtEnd(row).read { table.kernels.squared_norm($0, Int64(length)) }
            let exact = row.reduce(0.0) { $0 + Double($1) * Double($1) }
            let bound = Double(length + 1) * (rounding * exact + smallest)
            #expect(abs(Double(sum) - exact) <= bound, "length \(length) \(numbers) seed 31")
        }
    }

    @Test(arguments: Table.all) func squaredNormHandsNaNInfinityAndOverflowOn(_ table: Table) {
        for length in 1...67 {
            for place in 0..<length {
                for bad in [Float.nan, .infinity, -.infinity, 2e19] {
                    var row = [Float](repeating: 0.5, count: length)
                    row[place] = bad
                    #expect(
                        !table.kernels.squared_norm(row, Int64(length)).isFinite, "\(bad) at \(place) of \(length)")
                }
            }
        }
    }

    @Test(arguments: Table.all, Numbers.allCases) func addScaledAddsWeightTimesRow(_ table: Table, _ numbers: Numbers) {
        var random = SplitMix(32)
        for length in lengths {
            for (offset, weight) in [0.75, -3, 0, 1e-30].enumerated() {
                let row = numbers.make(length, &random)
                let before = random.floats(length)
                let sum = Guarded(before, offset: offset)
                AtEnd(row).read { table.kernels.add_scaled($0, Float(weight), Int64(length), sum.start) }
                #expect(sum.intact, "length \(length) offset \(offset)")
                let bad = row.indices.filter { d in
                    let product = Double(row[d]) * Double(Float(weight))
                    let error = abs(Double(sum.start[d]) - (Double(before[d]) + product))
                    return !(error <= 2 * rounding * (abs(Double(before[d])) + abs(product)) + smallest)
                }
                #expect(bad == [], "length \(length) weight \(weight) \(numbers) seed 32")
            }
        }
    }

    @Test(arguments: Table.all) func addScaledHandsNaNAndInfinityOn(_ table: Table) {
        for length in 1...40 {
            for place in 0..<length {
                for bad in [Float.nan, .infinity] {
                    var row = [Float](repeating: 1, count: length)
                    row[place] = bad
                    var sum = [Float](repeating: 0, count: length)
                    table.kernels.add_scaled(row, 2, Int64(length), &sum)
                    #expect(
                        sum.indices.allSatisfy { sum[$0].isFinite == ($0 != place) }, "\(bad) at \(place) of \(length)")
                }
            }
        }
    }

    @Test(arguments: Table.all, Numbers.allCases) func weightedColumnsAddsEachColumnsWeightedRows(
        _ table: Table, _ numbers: Numbers
    ) {
        var random = SplitMix(33)
        for columns in Array(0...20) + [67] {
            for vectors in 1...9 {
                let width = vectors * table.lanes
                let stride = width + [0, 1, 3, 16][vectors % 4]
                // The last column ends with its rows: its padding is not there to be read.
                let tile = numbers.make(max(0, columns * stride - (stride - width)), &random)
                let weights = random.floats(width, in: 0...1)
                let before = random.floats(columns)
                let sums = Guarded(before, offset: columns % 4)
                AtEnd(tile).read { tile in
                    AtEnd(weights).read { weights in
                        table.kernels.weighted_columns(
                            tile, Int64(columns), Int64(vectors), Int64(stride), weights, sums.start)
                    }
                }
                #expect(sums.intact, "\(columns) columns, \(vectors) vectors")
                let bad = (0..<columns).filter { j in
                    let terms = (0..<width).map { Double(weights[$0]) * Double(tile[j * stride + $0]) }
                    let size = terms.reduce(abs(Double(before[j]))) { $0 + abs($1) }
                    let error = abs(Double(sums.start[j]) - terms.reduce(Double(before[j]), +))
                    return !(error <= Double(vectors + 8) * rounding * size + Double(width) * smallest)
                }
                #expect(bad == [], "\(columns) columns, \(vectors) vectors, \(numbers) seed 33")
            }
        }
    }

    /// Every row counts, and only with its own weight.
    @Test(arguments: Table.all) func weightedColumnsGivesEachRowItsWeight(_ table: Table) {
        for vectors in 1...9 {
            let width = vectors * table.lanes
            for row in 0..<width {
                var weights = [Float](repeating: 0, count: width)
                weights[row] = 1
                var sums: [Float] = [0, 0]
                let tile = (0..<2 * width).map { Float($0 + 1) }
                table.kernels.weighted_columns(tile, 2, Int64(vectors), Int64(width), weights, &sums)
                #expect(sums == [Float(row + 1), Float(width + row + 1)])
            }
        }
    }
}

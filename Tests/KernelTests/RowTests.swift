// Dot products, maximum and exponentials of rows, as a decoding step makes them, against double loops.
import CSupport
import Foundation
import TestSupport
import Testing

@testable import KVSieveCore

/// Rows (count, depth) and keys (columns, stride); nothing readable after the last of either.
private struct Dots {
    let count: Int, columns: Int, depth: Int, stride: Int, outStride: Int
    var rows: [Float]
    var keys: [Float]

    init(_ count: Int, _ columns: Int, _ depth: Int, gap: Int = 0, _ numbers: Numbers, _ random: inout SplitMix) {
        (self.count, self.columns, self.depth) = (count, columns, depth)
        stride = depth + gap
        outStride = columns + gap
        rows = numbers.make(count * depth, &random)
        keys = numbers.make(max(0, columns * stride - gap), &random)
    }

    var outCount: Int { max(0, count * outStride - (outStride - columns)) }

    func run(_ table: Table, _ out: Guarded) {
        AtEnd(rows).read { rows in
            AtEnd(keys).read { keys in
                table.kernels.row_dots(
                    rows, Int64(count), keys, Int64(stride), Int64(columns), Int64(depth), out.start, Int64(outStride))
            }
        }
    }

    func bits(_ table: Table) -> [UInt32] {
        let out = Guarded(outCount)
        run(table, out)
        return out.values.bits
    }

    /// Places beyond what `depth` roundings allow, and gaps that were written.
    func wrong(_ out: Guarded) -> [Int] {
        (0..<outCount).filter { place in
            let (r, j) = (place / outStride, place % outStride)
            if j >= columns { return !out.untouched(place) }
            var (exact, size) = (0.0, 0.0)
            for d in 0..<depth {
                let product = Double(rows[r * depth + d]) * Double(keys[j * stride + d])
                exact += product
                size += abs(product)
            }
            return !(abs(Double(out.start[place]) - exact) <= Double(depth + 1) * (rounding * size + smallest))
        }
    }
}

private let factors: [Float] = [0, 1, 0.5, 1e-3, 2.632_768_7, 40]

/// row_exponentials beside the row, or over it.
private func exponentials(
    _ table: Table, _ row: [Float], _ maximum: Float, _ factor: Float, inPlace: Bool = false, offset: Int = 0
) -> (values: [Float], sum: Float, intact: Bool) {
    let out = inPlace ? Guarded(row, offset: offset) : Guarded(row.count, offset: offset)
    let sum =
        inPlace
        ? table.kernels.row_exponentials(out.start, Int64(row.count), maximum, factor, out.start)
        : AtEnd(row).read { table.kernels.row_exponentials($0, Int64(row.count), maximum, factor, out.start) }
    return (out.values, sum, out.intact)
}

@Suite struct RowTests {
    @Suite struct DotProducts {
        @Test(arguments: Table.all, Numbers.allCases) func dotsAreTheProducts(_ table: Table, _ numbers: Numbers) {
            var random = SplitMix(61)
            for count in 0...9 {
                for columns in [0, 1, 2, 3, 5, 19] {
                    for depth in [0, 1, 2, 3, 15, 16, 17, 33, 67] {
                        let dots = Dots(
                            count, columns, depth, gap: [0, 1, 3, 5][(count + columns + depth) % 4], numbers, &random)
                        let out = Guarded(dots.outCount, offset: (count + depth) % 4)
                        dots.run(table, out)
                        let name = "\(count) rows, \(columns) columns, depth \(depth), \(numbers) seed 61"
                        #expect(dots.wrong(out) == [], "\(name)")
                        #expect(out.intact, "\(name)")
                    }
                }
            }
        }

        @Test(arguments: Table.all) func everyDepth(_ table: Table) {
            var random = SplitMix(62)
            for depth in lengths {
                for count in [1, 4, 7] {
                    let dots = Dots(count, 3, depth, gap: depth % 3, .random, &random)
                    let out = Guarded(dots.outCount, offset: depth % 4)
                    dots.run(table, out)
                    #expect(dots.wrong(out) == [] && out.intact, "\(count) rows, depth \(depth), seed 62")
                }
            }
        }

        /// "One fixed order", whatever goes together and however far apart keys and results are: bit for bit.
        @Test(arguments: Table.all, [0, 1, 16, 37, 128]) func eachRowAndKeyAloneGivesTheSameBits(
            _ table: Table, _ depth: Int
        ) {
            var random = SplitMix(63)
            for count in 1...9 {
                let all = Dots(count, 6, depth, gap: count % 4, .random, &random)
                let together = all.bits(table)
                for r in 0..<count {
                    for j in 0..<6 {
                        var one = Dots(1, 1, depth, .random, &random)
                        one.rows = Array(all.rows[r * depth..<(r + 1) * depth])
                        one.keys = Array(all.keys[j * all.stride..<j * all.stride + depth])
                        #expect(
                            one.bits(table) == [together[r * all.outStride + j]],
                            "row \(r) of \(count), key \(j), depth \(depth), seed 63")
                    }
                }
            }
        }

        /// A bad number shows in the results that it is part of, and in no other.
        @Test(arguments: Table.all, [Float.nan, .infinity, -.infinity]) func badNumbersStayInTheirRowAndColumn(
            _ table: Table, _ bad: Float
        ) {
            var random = SplitMix(64)
            let (columns, depth) = (3, 19)
            for count in [1, 4, 6] {
                let good = Dots(count, columns, depth, .random, &random)
                func finite(_ dots: Dots) -> [Bool] { dots.bits(table).map { Float(bitPattern: $0).isFinite } }
                for place in good.rows.indices {
                    var dots = good
                    dots.rows[place] = bad
                    let expected = (0..<count * columns).map { $0 / columns != place / depth }
                    #expect(finite(dots) == expected, "\(bad) at \(place) of \(count) rows")
                }
                for place in good.keys.indices {
                    var dots = good
                    dots.keys[place] = bad
                    let expected = (0..<count * columns).map { $0 % columns != place / depth }
                    #expect(finite(dots) == expected, "\(bad) at \(place) of the keys, \(count) rows")
                }
            }
        }

        @Test(arguments: Table.others) func tablesAgreeToTheirRoundings(_ table: Table) {
            var random = SplitMix(65)
            for depth in lengths {
                let dots = Dots(6, 5, depth, .random, &random)
                let pairs = zip(dots.bits(table), dots.bits(.narrowest)).map {
                    abs(Float(bitPattern: $0) - Float(bitPattern: $1))
                }
                #expect(pairs.allSatisfy { $0 <= 2 * Float(depth + 1) * Float(rounding) * Float(depth) * 4 }, "seed 65")
            }
        }
    }

    @Suite struct Maximum {
        @Test(arguments: Table.all, Numbers.allCases) func itIsTheGreatest(_ table: Table, _ numbers: Numbers) {
            var random = SplitMix(66)
            for length in lengths {
                for shift in [Float(0), -5] {
                    let row = numbers.make(length, &random).map { $0 + shift }
                    let most = AtEnd(row).read { table.kernels.row_maximum($0, Int64(length)) }
                    #expect(most == row.max() ?? -.infinity, "length \(length) \(numbers) seed 66")
                }
            }
        }

        @Test(arguments: Table.all) func itIsFoundAtAnyPlace(_ table: Table) {
            for length in 1...67 {
                for place in 0..<length {
                    for most in [Float(-1), 7, .greatestFiniteMagnitude] {
                        var row = [Float](repeating: -.greatestFiniteMagnitude, count: length)
                        row[place] = most
                        #expect(table.kernels.row_maximum(row, Int64(length)) == most, "\(place) of \(length)")
                    }
                }
            }
        }

        @Test(arguments: Table.all, [Float.nan, .infinity, -.infinity, -.nan]) func oneBadNumberAtAnyPlaceIsNaN(
            _ table: Table, _ bad: Float
        ) {
            for length in 1...67 {
                for place in 0..<length {
                    var row = [Float](repeating: 0.5, count: length)
                    row[place] = bad
                    #expect(table.kernels.row_maximum(row, Int64(length)).isNaN, "\(bad) at \(place) of \(length)")
                }
            }
            let row = [Float](repeating: bad, count: 40)
            for length in 1...40 {
                #expect(table.kernels.row_maximum(row, Int64(length)).isNaN, "\(length) of \(bad)")
            }
        }

        @Test(arguments: Table.all) func whatStandsBehindIsNotLookedAt(_ table: Table) {
            for length in lengths {
                let row = [Float](repeating: -2, count: length) + [.nan, 9, .infinity]
                let most = table.kernels.row_maximum(row, Int64(length))
                #expect(most == (length == 0 ? -.infinity : -2), "length \(length)")
            }
        }
    }

    @Suite struct Exponentials {
        @Test(arguments: Table.all, factors) func theyAreThoseOfFoundation(_ table: Table, _ factor: Float) {
            var random = SplitMix(67)
            for length in lengths {
                var row = random.floats(length, in: -40...40)
                if factor > 0 { for j in row.indices where random.below(5) == 0 { row[j] = -.infinity } }
                let maximum = max(row.max() ?? -.infinity, -.greatestFiniteMagnitude)
                let beside = exponentials(table, row, maximum, factor)
                for inPlace in [false, true] {
                    let found = exponentials(table, row, maximum, factor, inPlace: inPlace, offset: length % 4)
                    #expect(found.values.bits == beside.values.bits && found.sum.bitPattern == beside.sum.bitPattern)
                    let name = "length \(length), factor \(factor), in place \(inPlace), seed 67"
                    #expect(found.intact, "\(name)")
                    var total = 0.0
                    let bad = row.indices.filter { j in
                        let argument = (row[j] - maximum) * factor
                        let exact = argument < -87 ? 0 : exp(Double(argument))
                        total += exact
                        return !(abs(Double(found.values[j]) - exact) <= 2e-7 * exact)
                    }
                    #expect(bad == [], "\(name)")
                    #expect(abs(Double(found.sum) - total) <= (2e-7 + Double(length) * rounding) * total, "\(name)")
                }
            }
        }

        @Test(arguments: Table.all) func maskedPlacesAreZero(_ table: Table) {
            for length in 1...67 {
                for place in 0..<length {
                    var row = [Float](repeating: 2, count: length)
                    row[place] = -.infinity
                    let found = exponentials(table, row, 2, 1)
                    #expect(found.values.bits == row.map { $0 == 2 ? Float(1).bitPattern : 0 }, "\(place) of \(length)")
                    #expect(found.sum == Float(length - 1), "\(place) of \(length)")
                }
                let none = exponentials(table, [Float](repeating: -.infinity, count: length), 0, 1)
                #expect(none.values.bits.allSatisfy { $0 == 0 } && none.sum.bitPattern == 0)
            }
        }

        @Test(arguments: Table.all) func factorZeroIsFlat(_ table: Table) {
            var random = SplitMix(69)
            for length in lengths {
                let row = random.floats(length, in: -1e30...1e30)
                let found = exponentials(table, row, row.max() ?? 0, 0)
                #expect(found.values.allSatisfy { $0 == 1 } && found.sum == Float(length), "length \(length) seed 69")
            }
        }

        @Test(arguments: Table.all) func belowMinus87ItIsZeroAndNeverSubnormal(_ table: Table) {
            for length in [1, 3, 19] {
                for (number, factor) in [
                    (Float(-87.001), Float(1)), (-43.6, 2), (-1e4, 1), (-3e38, 3e38), (-1e-36, 1e38),
                ] {
                    let found = exponentials(table, [Float](repeating: number, count: length), 0, factor)
                    #expect(found.values.bits.allSatisfy { $0 == 0 } && found.sum == 0, "\(number) \(factor)")
                }
                #expect(
                    exponentials(table, [Float](repeating: -87, count: length), 0, 1).values.allSatisfy { $0.isNormal })
                // A difference that overflows.
                #expect(exponentials(table, [Float](repeating: -3e38, count: length), 3e38, 1).sum.bitPattern == 0)
            }
        }

        /// "Equal numbers have equal exponentials at every index."
        @Test(arguments: Table.all, factors) func aNumberAloneGivesTheSameBits(_ table: Table, _ factor: Float) {
            var random = SplitMix(70)
            for length in 1...67 {
                let row = random.floats(length, in: -20...1)
                let together = exponentials(table, row, 1, factor).values
                let alone = row.map { exponentials(table, [$0], 1, factor).values[0] }
                #expect(together.bits == alone.bits, "length \(length), factor \(factor), seed 70")
            }
        }

        /// Nothing subnormal comes out; a subnormal argument is as good as 0.
        @Test(arguments: Table.all, factors) func flushToZeroChangesNothing(_ table: Table, _ factor: Float) {
            let row = (0..<10_000).map { -100 * Float($0) / 10_000 } + [-Float.leastNonzeroMagnitude, -0.0, -1e-37]
            let plain = exponentials(table, row, 0, factor)
            let flushed = withSubnormalsFlushed { exponentials(table, row, 0, factor) }
            #expect(flushed.values.bits == plain.values.bits && flushed.sum.bitPattern == plain.sum.bitPattern)
        }

        @Test(arguments: Table.others, factors) func tablesAgreeToTheirRoundings(_ table: Table, _ factor: Float) {
            var random = SplitMix(71)
            let row = random.floats(10_000, in: -20...0)
            let (mine, narrow) = (exponentials(table, row, 0, factor), exponentials(.narrowest, row, 0, factor))
            #expect(zip(mine.values, narrow.values).allSatisfy { abs($0 - $1) <= 4e-7 * $1 }, "seed 71")
            #expect(abs(mine.sum - narrow.sum) <= 10_000 * Float(rounding) * narrow.sum, "seed 71")
        }
    }
}

// Logits and their maxima against double loops: every tail of rows and keys, what is refused, what division may not change.
import CSupport
import Foundation
import TestSupport
import Testing

@testable import KVSieveCore

/// A product with room around it: query rows (rows, depth), keys (columns, stride).
private struct Product {
    let table: Table
    let vectors: Int, columns: Int, depth: Int, stride: Int, outStride: Int
    var queries: [Float]
    var keys: [Float]
    var rows: Int { vectors * table.lanes }

    init(
        _ table: Table, vectors: Int, columns: Int, depth: Int, gap: Int = 0, _ numbers: Numbers,
        _ random: inout SplitMix
    ) {
        (self.table, self.vectors, self.columns, self.depth) = (table, vectors, columns, depth)
        stride = depth + gap
        outStride = vectors * table.lanes + gap
        queries = numbers.make(vectors * table.lanes * depth, &random)
        // The last key ends with its depth.
        keys = numbers.make(max(0, columns * (depth + gap) - gap), &random)
    }

    /// (blocks, depth, block * lanes), as logit_columns wants them.
    var packed: [Float] {
        let block = Int(table.kernels.block) * table.lanes
        return Swift.stride(from: 0, to: rows, by: block).flatMap { first in
            (0..<depth).flatMap { d in (first..<min(first + block, rows)).map { queries[$0 * depth + d] } }
        }
    }

    /// - Parameter places: where keys are, in place of the stride.
    func run(_ out: Guarded, _ maxima: Guarded, _ places: [Int]? = nil) -> Int32 {
        AtEnd(packed).read { packed in
            AtEnd(keys).read { keys in
                func multiply(_ places: UnsafePointer<Int>?) -> Int32 {
                    table.kernels.logit_columns(
                        packed, Int64(vectors), keys, Int64(stride), places, Int64(columns), Int64(depth), out.start,
                        Int64(outStride), maxima.start)
                }
                return places.map { AtEnd($0).read(multiply) } ?? multiply(nil)
            }
        }
    }

    /// Columns whose logits lie beyond what `depth` roundings allow.
    func wrong(_ out: Guarded) -> [Int] {
        (0..<columns).filter { j in
            !(0..<rows).allSatisfy { r in
                var (exact, size) = (0.0, 0.0)
                for d in 0..<depth {
                    let product = Double(queries[r * depth + d]) * Double(keys[j * stride + d])
                    exact += product
                    size += abs(product)
                }
                let error = abs(Double(out.start[j * outStride + r]) - exact)
                return error <= Double(depth + 1) * (rounding * size + smallest)
            }
        }
    }
}

/// -inf, and some maxima of an earlier tile.
private func earlier(_ rows: Int) -> [Float] { (0..<rows).map { $0 % 3 == 1 ? 0.5 : -.infinity } }

private func highest(_ out: Guarded, _ stride: Int, _ columns: Int, _ before: [Float]) -> [Float] {
    before.indices.map { r in (0..<columns).reduce(before[r]) { max($0, out.start[$1 * stride + r]) } }
}

@Suite struct LogitTests {
    /// Keys in any order, and at times one twice: to the last bit the logits that they have one after another. The table ends
    /// twelve entries after the last column's.
    @Test(arguments: Table.all, [1, 7, 16, 33, 130]) func placesAreWhereTheKeysAre(_ table: Table, _ depth: Int) {
        var random = SplitMix(48)
        for columns in Array(0...19) + [67] {
            for vectors in [1, 2, 3, 4, 5, 9] {
                let product = Product(table, vectors: vectors, columns: columns, depth: depth, gap: 3, .random, &random)
                let rows = product.rows
                let straight = Guarded(max(0, columns * product.outStride))
                let maxima = Guarded(earlier(rows))
                #expect(product.run(straight, maxima) == 1)
                let order = (0..<columns).map { _ in random.below(columns) }
                let last = (order.last ?? 0) * product.stride
                let places = order.map { $0 * product.stride } + Array(repeating: last, count: 12)
                let (placed, found) = (Guarded(straight.count), Guarded(earlier(rows)))
                #expect(product.run(placed, found, places) == 1)
                for (j, key) in order.enumerated() {
                    for r in 0..<rows {
                        let (a, b) = (
                            placed.start[j * product.outStride + r], straight.start[key * product.outStride + r]
                        )
                        #expect(a.bitPattern == b.bitPattern, "\(columns) columns, \(vectors) vectors, seed 48")
                    }
                }
                #expect(found.values == highest(placed, product.outStride, columns, earlier(rows)))
                #expect(placed.intact && found.intact)
            }
        }
    }

    @Test(arguments: Table.all, Numbers.allCases) func logitsAreTheProducts(_ table: Table, _ numbers: Numbers) {
        var random = SplitMix(41)
        for columns in Array(0...19) + [67] {
            for vectors in 1...9 {
                for depth in [1, 2, 15, 16, 17, 33, 67] {
                    let gap = [0, 1, 3, 5][(columns + vectors + depth) % 4]
                    let product = Product(
                        table, vectors: vectors, columns: columns, depth: depth, gap: gap, numbers, &random)
                    let out = Guarded(max(0, columns * product.outStride - gap), offset: depth % 4)
                    let before = earlier(product.rows)
                    let maxima = Guarded(before, offset: columns % 4)
                    let name = "\(columns) columns, \(vectors) vectors, depth \(depth), \(numbers) seed 41"
                    #expect(product.run(out, maxima) == 1, "\(name)")
                    #expect(product.wrong(out) == [], "\(name)")
                    #expect(maxima.values == highest(out, product.outStride, columns, before), "\(name)")
                    #expect(out.intact && maxima.intact, "\(name)")
                    let gaps = (0..<max(0, columns - 1)).flatMap { j in
                        (product.rows..<product.outStride).map { j * product.outStride + $0 }
                    }
                    #expect(gaps.allSatisfy(out.untouched), "between columns: \(name)")
                }
            }
        }
    }

    @Test(arguments: Table.all) func depthOfALatentHeadIsNoProblem(_ table: Table) {
        var random = SplitMix(42)
        let product = Product(table, vectors: 4, columns: 13, depth: 576, gap: 64, .random, &random)
        let out = Guarded(13 * product.outStride)
        #expect(product.run(out, Guarded(earlier(product.rows))) == 1)
        #expect(product.wrong(out) == [])
    }

    /// "Results do not depend on how rows and keys are divided": bit for bit.
    @Test(arguments: Table.all, [1, 16, 37, 128]) func eachVectorAndKeyAloneGivesTheSameBits(
        _ table: Table, _ depth: Int
    ) {
        var random = SplitMix(43)
        let all = Product(table, vectors: 7, columns: 20, depth: depth, .random, &random)
        let out = Guarded(20 * all.outStride)
        #expect(all.run(out, Guarded(earlier(all.rows))) == 1)
        for vector in 0..<7 {
            for key in 0..<20 {
                var one = Product(table, vectors: 1, columns: 1, depth: depth, .random, &random)
                let first = vector * table.lanes
                one.queries = Array(all.queries[first * depth..<(first + table.lanes) * depth])
                one.keys = Array(all.keys[key * depth..<(key + 1) * depth])
                let alone = Guarded(table.lanes)
                #expect(one.run(alone, Guarded(earlier(one.rows))) == 1)
                let together = (0..<table.lanes).map { out.start[key * all.outStride + first + $0] }
                #expect(alone.values.bits == together.bits, "vector \(vector) key \(key) depth \(depth) seed 43")
            }
        }
    }

    @Test(arguments: Table.all, [Float.nan, .infinity, -.infinity]) func oneBadNumberAtAnyPlaceIsRefused(
        _ table: Table, _ bad: Float
    ) {
        var random = SplitMix(44)
        for (vectors, columns, depth) in [(1, 13, 3), (4, 7, 5), (5, 8, 2), (2, 1, 17)] {
            let good = Product(table, vectors: vectors, columns: columns, depth: depth, .random, &random)
            let out = Guarded(columns * good.outStride)
            func run(_ product: Product) -> Int32 { product.run(out, Guarded(earlier(product.rows))) }
            #expect(run(good) == 1)
            for place in good.keys.indices {
                var product = good
                product.keys[place] = bad
                #expect(run(product) == 0, "key number \(place) of \(columns) x \(depth)")
            }
            for place in good.queries.indices {
                var product = good
                product.queries[place] = bad
                #expect(run(product) == 0, "query number \(place) of \(vectors) vectors x \(depth)")
            }
        }
    }

    @Test(arguments: Table.all) func aProductThatOverflowsIsRefused(_ table: Table) {
        var random = SplitMix(45)
        for columns in 1...13 {
            var product = Product(table, vectors: 5, columns: columns, depth: 2, .random, &random)
            for row in 0..<product.rows {
                let queries = product.queries
                (product.queries[row * 2], product.keys[columns * 2 - 2]) = (3e38, 2)
                #expect(
                    product.run(Guarded(columns * product.outStride), Guarded(earlier(product.rows))) == 0, "row \(row)"
                )
                product.queries = queries
            }
        }
    }

    @Test(arguments: Table.all, Numbers.allCases) func maximaOfATileAreThoseOfItsColumns(
        _ table: Table, _ numbers: Numbers
    ) {
        var random = SplitMix(46)
        for columns in Array(0...20) + [67] {
            for vectors in 1...9 {
                let width = vectors * table.lanes
                let stride = width + vectors % 4
                let tile = Guarded(numbers.make(columns * stride, &random), offset: columns % 4)
                let before = earlier(width)
                let maxima = Guarded(before, offset: vectors % 4)
                let finite = table.kernels.column_maxima(
                    tile.start, Int64(columns), Int64(vectors), Int64(stride), maxima.start)
                #expect(finite == 1)
                #expect(
                    maxima.values == highest(tile, stride, columns, before),
                    "\(columns) x \(vectors) \(numbers) seed 46")
                #expect(maxima.intact)
            }
        }
    }

    @Test(arguments: Table.all, [Float.nan, .infinity, -.infinity]) func maximaRefuseOneBadLogitAtAnyPlace(
        _ table: Table, _ bad: Float
    ) {
        let (columns, vectors) = (5, 3)
        let width = vectors * table.lanes
        let stride = width + 2
        for place in 0..<columns * stride {
            var tile = [Float](repeating: 0.5, count: columns * stride)
            tile[place] = bad
            var maxima = earlier(width)
            let finite = table.kernels.column_maxima(tile, Int64(columns), Int64(vectors), Int64(stride), &maxima)
            // The floats between the columns are not compared.
            #expect(finite == (place % stride < width ? 0 : 1), "\(bad) at \(place)")
        }
    }

    @Test(arguments: Table.others) func tablesAgreeToTheirRoundings(_ table: Table) {
        var random = SplitMix(47)
        let (depth, columns) = (129, 31)
        let wide = Product(table, vectors: 2, columns: columns, depth: depth, .random, &random)
        var narrow = Product(
            .narrowest, vectors: wide.rows / Table.narrowest.lanes, columns: columns, depth: depth, .random, &random)
        (narrow.queries, narrow.keys) = (wide.queries, wide.keys)
        let (a, b) = (Guarded(columns * wide.outStride), Guarded(columns * narrow.outStride))
        #expect(wide.run(a, Guarded(earlier(wide.rows))) == 1)
        #expect(narrow.run(b, Guarded(earlier(narrow.rows))) == 1)
        let furthest = zip(a.values, b.values).map { abs($0 - $1) }.max() ?? .infinity
        #expect(furthest <= 2 * Float(depth) * Float(rounding) * Float(depth) * 4, "seed 47")
    }
}

// The product of bfloat16 pairs, on processors that have it, against double loops over the same numbers.
import CSupport
import TestSupport
import Testing

@testable import KVSieveCore

private let tables = Table.all.filter { $0.kernels.pair_columns != nil }

/// Query rows (rows, 2 * pairs) and keys (columns, 2 * stride) of bfloat16 patterns, a factor a row.
private struct PairProduct: ColumnProduct {
    let table: Table
    let vectors: Int, columns: Int, pairs: Int, stride: Int
    var queries: [UInt16]
    var keys: [UInt16]
    var factors: [Float]
    var rows: Int { vectors * table.lanes }

    init(_ table: Table, vectors: Int, columns: Int, pairs: Int, gap: Int, _ random: inout SplitMix) {
        (self.table, self.vectors, self.columns, self.pairs, stride) = (table, vectors, columns, pairs, pairs + gap)
        func patterns(_ count: Int) -> [UInt16] { random.floats(count).map { UInt16($0.bitPattern >> 16) } }
        queries = patterns(vectors * table.lanes * pairs * 2)
        keys = patterns(max(0, columns * stride - gap) * 2)
        factors = random.floats(vectors * table.lanes, in: 0...1)
    }

    private static func words(_ halves: [UInt16]) -> [Float] {
        Swift.stride(from: 0, to: halves.count, by: 2).map {
            Float(bitPattern: UInt32(halves[$0]) | UInt32(halves[$0 + 1]) << 16)
        }
    }

    func run(_ out: Guarded, _ maxima: Guarded) -> Int32 {
        let words = Self.words(queries)
        let block = Int(table.kernels.block) * table.lanes
        let packed = Swift.stride(from: 0, to: rows, by: block).flatMap { first in
            (0..<pairs).flatMap { d in (first..<min(first + block, rows)).map { words[$0 * pairs + d] } }
        }
        guard let product = table.kernels.pair_columns else { return -1 }
        return AtEnd(packed).read { packed in
            AtEnd(Self.words(keys)).read { keys in
                product(
                    packed, Int64(vectors), keys, Int64(stride), nil, Int64(columns), Int64(pairs), factors, out.start,
                    Int64(rows), maxima.start)
            }
        }
    }

    static func widen(_ half: UInt16) -> Double { Double(Float(bitPattern: UInt32(half) << 16)) }

    func furthest(_ out: Guarded) -> Double {
        var worst = 0.0
        for j in 0..<columns {
            for r in 0..<rows {
                var (exact, size) = (0.0, 0.0)
                for d in 0..<2 * pairs {
                    let product = Self.widen(queries[r * 2 * pairs + d]) * Self.widen(keys[j * 2 * stride + d])
                    exact += product
                    size += abs(product)
                }
                let factor = Double(factors[r])
                worst = max(worst, abs(Double(out.start[j * rows + r]) - exact * factor) / (size * factor + 1e-30))
            }
        }
        return worst
    }
}

@Suite struct PairTests {
    @Test(arguments: tables) func logitsAreTheProductsTimesTheFactors(_ table: Table) {
        var random = SplitMix(81)
        for columns in Array(0...19) + [67] {
            for vectors in 1...9 {
                for pairs in [1, 2, 8, 17, 64] {
                    let product = PairProduct(
                        table, vectors: vectors, columns: columns, pairs: pairs, gap: [0, 1, 5][(columns + pairs) % 3],
                        &random)
                    product.expectLogits(
                        within: Double(2 * pairs + 1) * rounding,
                        "\(columns) columns, \(vectors) vectors, \(pairs) pairs, seed 81")
                }
            }
        }
    }

    @Test(arguments: tables) func eachVectorAndKeyAloneGivesTheSameBits(_ table: Table) {
        var random = SplitMix(82)
        let all = PairProduct(table, vectors: 7, columns: 20, pairs: 37, gap: 0, &random)
        let out = Guarded(20 * all.rows)
        #expect(all.run(out, Guarded([Float](repeating: -.infinity, count: all.rows))) == 1)
        for vector in 0..<7 {
            for key in 0..<20 {
                var one = PairProduct(table, vectors: 1, columns: 1, pairs: 37, gap: 0, &random)
                let first = vector * table.lanes
                one.queries = Array(all.queries[first * 74..<(first + table.lanes) * 74])
                one.factors = Array(all.factors[first..<first + table.lanes])
                one.keys = Array(all.keys[key * 74..<(key + 1) * 74])
                let alone = Guarded(table.lanes)
                #expect(one.run(alone, Guarded([Float](repeating: -.infinity, count: table.lanes))) == 1)
                let together = (0..<table.lanes).map { out.start[key * all.rows + first + $0] }
                #expect(alone.values.bits == together.bits, "vector \(vector) key \(key) seed 82")
            }
        }
    }

    /// NaN, infinities, and the largest number twice.
    @Test(arguments: tables, [0x7fc0, 0x7f80, 0xff80] as [UInt16]) func oneBadNumberAtAnyPlaceIsRefused(
        _ table: Table, _ bad: UInt16
    ) {
        var random = SplitMix(83)
        for (vectors, columns, pairs) in [(1, 13, 2), (5, 7, 3)] {
            let good = PairProduct(table, vectors: vectors, columns: columns, pairs: pairs, gap: 0, &random)
            func run(_ product: PairProduct) -> Int32 {
                product.run(Guarded(columns * good.rows), Guarded([Float](repeating: 0, count: good.rows)))
            }
            #expect(run(good) == 1)
            for place in good.keys.indices {
                var product = good
                product.keys[place] = bad
                #expect(run(product) == 0, "key number \(place)")
            }
            for place in good.queries.indices {
                var product = good
                product.queries[place] = bad
                #expect(run(product) == 0, "query number \(place)")
            }
            var product = good
            (product.keys[0], product.queries[0], product.factors[0]) = (0x7f7f, 0x7f7f, 1)
            #expect(run(product) == 0, "a product that overflows")
        }
    }
}

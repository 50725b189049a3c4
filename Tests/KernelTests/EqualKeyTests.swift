// Equal keys get the same bits at every index: in whole blocks of six, in the last short one, in lanes and after the last whole
// vector.
import CSupport
import TestSupport
import Testing

@testable import KVSieveCore

/// Tokens that are a multiple of nothing.
private let columns = 41
private let depths = [1, 2, 7, 16, 31, 64, 127, 128, 300]

/// (columns, depth): one key at about half of the places, the first and the last among them, other keys between.
private struct Keys {
    var floats: [Float]
    var places: [Int]

    init(_ depth: Int, _ random: inout SplitMix) {
        let key = random.floats(depth)
        var places: [Int] = []
        floats = (0..<columns).flatMap { j in
            guard j == 0 || j == columns - 1 || random.below(2) == 0 else { return random.floats(depth) }
            places.append(j)
            return key
        }
        self.places = places
    }

    /// Places whose numbers are not those of the first, in `out` with `stride` numbers a place.
    func different(_ out: [Float], _ stride: Int) -> [Int] {
        func bits(_ place: Int) -> [UInt32] { Array(out[place * stride..<(place + 1) * stride]).bits }
        return places.filter { bits($0) != bits(places[0]) }
    }
}

// Not in the arguments of a test, where a closure crashes the compiler of Swift 6.0.
private let tablesOfPairs = Table.all.filter { $0.kernels.pair_columns != nil }

// Not in the arguments of a test, where a closure crashes the compiler of Swift 6.0.
private let tablesOfBytes = Table.all.filter { $0.kernels.byte_columns != nil }

@Suite struct EqualKeyTests {
    @Test(arguments: Table.all, depths) func theirLogitsAreTheSame(_ table: Table, _ depth: Int) {
        var random = SplitMix(91)
        for vectors in 1...9 {
            let keys = Keys(depth, &random)
            let width = vectors * table.lanes
            let packed = random.floats(width * depth)
            var out = [Float](repeating: 0, count: columns * width)
            var maxima = [Float](repeating: -.infinity, count: width)
            let finite = table.kernels.logit_columns(
                packed, Int64(vectors), keys.floats, Int64(depth), nil, Int64(columns), Int64(depth), &out,
                Int64(width),
                &maxima)
            #expect(finite == 1 && keys.different(out, width) == [], "\(vectors) vectors, depth \(depth), seed 91")
        }
    }

    @Test(arguments: tablesOfPairs, depths) func theirLogitsOfPairsAreTheSame(
        _ table: Table, _ words: Int
    ) throws {
        var random = SplitMix(92)
        // Two bfloat16 numbers in each float's place.
        func pairs(_ floats: [Float]) -> [Float] {
            floats.map { Float(bitPattern: $0.bitPattern & 0xffff_0000 | $0.bitPattern >> 16 & 0xbfff) }
        }
        let product = try #require(table.kernels.pair_columns)
        for vectors in 1...9 {
            var keys = Keys(words, &random)
            keys.floats = pairs(keys.floats)
            let width = vectors * table.lanes
            let packed = pairs(random.floats(width * words))
            let factors = random.floats(width, in: 0.1...1)
            var out = [Float](repeating: 0, count: columns * width)
            var maxima = [Float](repeating: -.infinity, count: width)
            let finite = product(
                packed, Int64(vectors), keys.floats, Int64(words), nil, Int64(columns), Int64(words), factors, &out,
                Int64(width), &maxima)
            #expect(finite == 1 && keys.different(out, width) == [], "\(vectors) vectors, \(words) pairs, seed 92")
        }
    }

    @Test(arguments: tablesOfBytes) func theirLogitsOfBytesAreTheSame(
        _ table: Table
    ) throws {
        var random = SplitMix(97)
        let product = try #require(table.kernels.byte_columns)
        for (vectors, blocks) in (1...5).flatMap({ vectors in [1, 2, 4].map { (vectors, $0) } }) {
            // Equal keys have equal bytes and scales: both are made of the key's numbers.
            let keys = Keys(blocks, &random)
            let bytes = keys.floats.flatMap { number in
                (0..<32).map { UInt8(truncatingIfNeeded: number.bitPattern &* (2 * $0 + 1) >> 3) }
            }
            let width = vectors * table.lanes
            let queries = random.floats(width * blocks * 8).map { Int32(bitPattern: $0.bitPattern) }
            let offsets = (0..<width * blocks).map { _ in Int32(random.below(4000)) * 128 }
            var out = [Float](repeating: 0, count: columns * width)
            var maxima = [Float](repeating: -.infinity, count: width)
            var finite: Int32 = 0
            random.floats(width * blocks).withUnsafeBufferPointer { scales in
                queries.withUnsafeBufferPointer { queries in
                    offsets.withUnsafeBufferPointer { offsets in
                        guard let q = queries.baseAddress, let o = offsets.baseAddress, let s = scales.baseAddress
                        else { return }
                        var rows = support_byte_rows(
                            vectors: Int64(vectors), blocks: Int64(blocks), bytes: q, offsets: o, scales: s)
                        finite = product(&rows, bytes, keys.floats, Int64(columns), &out, Int64(width), &maxima)
                    }
                }
            }
            #expect(finite == 1 && keys.different(out, width) == [], "\(vectors) vectors, \(blocks) blocks, seed 97")
        }
    }

    @Test(arguments: Table.all, depths) func theirDotsAreTheSame(_ table: Table, _ depth: Int) {
        var random = SplitMix(93)
        for rows in 1...9 {
            let keys = Keys(depth, &random)
            var out = [Float](repeating: 0, count: rows * columns)
            table.kernels.row_dots(
                random.floats(rows * depth), Int64(rows), keys.floats, Int64(depth), Int64(columns), Int64(depth),
                &out, Int64(columns))
            for row in 0..<rows {
                let ofRow = Array(out[row * columns..<(row + 1) * columns])
                #expect(keys.different(ofRow, 1) == [], "row \(row) of \(rows), depth \(depth), seed 93")
            }
        }
    }

    /// From equal columns of logits on: their exponentials, and their sums over the rows.
    @Test(arguments: Table.all) func theirColumnSumsAreTheSame(_ table: Table) {
        var random = SplitMix(94)
        for vectors in 1...9 {
            let width = vectors * table.lanes
            let keys = Keys(width, &random)
            var tile = keys.floats
            let maxima = [Float](repeating: 2, count: width)
            var sums = [Float](repeating: 0, count: width)
            table.kernels.tile_exponentials(
                &tile, Int64(columns), Int64(vectors), Int64(width), maxima, &sums)
            #expect(keys.different(tile, width) == [], "\(vectors) vectors, seed 94")
            var scores = [Float](repeating: 0, count: columns)
            table.kernels.weighted_columns(
                tile, Int64(columns), Int64(vectors), Int64(width), random.floats(width, in: 0...1), &scores)
            #expect(keys.different(scores, 1) == [], "\(vectors) vectors, seed 94")
        }
    }

    /// A step's newest row over the slots: the mean over the group's rows.
    @Test(arguments: Table.all) func theirSumsOverRowsAreTheSame(_ table: Table) {
        var random = SplitMix(95)
        for count in 1...9 {
            let keys = Keys(count, &random)
            let rows = (0..<count).flatMap { r in (0..<columns).map { keys.floats[$0 * count + r] } }
            var out = [Float](repeating: 0, count: columns)
            table.kernels.weighted_rows(
                rows, Int64(count), Int64(columns), random.floats(count), Int64(columns), &out)
            #expect(keys.different(out, 1) == [], "\(count) rows, seed 95")
        }
    }

    /// Row added to row, as the numbers that decoding begins with.
    @Test(arguments: Table.all) func theirSumsOfScaledRowsAreTheSame(_ table: Table) {
        var random = SplitMix(96)
        for count in 1...9 {
            let keys = Keys(count, &random)
            var sums = [Float](repeating: 0, count: columns)
            for r in 0..<count {
                let row = (0..<columns).map { keys.floats[$0 * count + r] }
                table.kernels.add_scaled(row, random.floats(1)[0], Int64(columns), &sums)
            }
            #expect(keys.different(sums, 1) == [], "\(count) rows, seed 96")
        }
    }
}

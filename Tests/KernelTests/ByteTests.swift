// The product of bytes, on processors that have it, against double loops over the same bytes and scales; and the split that
// feeds it.
import CSupport
import Foundation
import TestSupport
import Testing

@testable import KVSieveCore

private let tables = Table.all.filter { $0.kernels.byte_columns != nil }

/// Query rows (rows, blocks, 32) and keys (columns, blocks, 32) of bytes, a scale for each 32.
private struct ByteProduct: ColumnProduct {
    let table: Table
    let vectors: Int, columns: Int, blocks: Int
    var queries: [Int8]
    var queryScales: [Float]
    var keys: [Int8]
    var keyScales: [Float]
    var rows: Int { vectors * table.lanes }

    /// - Parameter extreme: bytes are -128, -127 and 127 (of queries the last two).
    init(
        _ table: Table, vectors: Int, columns: Int, blocks: Int, extreme: Bool = false, _ random: inout SplitMix
    ) {
        (self.table, self.vectors, self.columns, self.blocks) = (table, vectors, columns, blocks)
        func many(_ count: Int, _ from: Int) -> [Int8] {
            (0..<count).map { _ in
                extreme ? [127, -127, Int8(from)][random.below(3)] : Int8(random.below(128 - from) + from)
            }
        }
        queries = many(vectors * table.lanes * blocks * 32, -127)
        keys = many(columns * blocks * 32, -128)
        queryScales = random.floats(vectors * table.lanes * blocks, in: 0...1)
        keyScales = random.floats(columns * blocks, in: 0...1)
    }

    /// As support_byte_rows has them: the lanes are rows.
    private func packed() -> (bytes: [Int8], offsets: [Int32], scales: [Float]) {
        var (bytes, offsets, scales): ([Int8], [Int32], [Float]) = ([], [], [])
        for (vector, block) in (0..<vectors).flatMap({ vector in (0..<blocks).map { (vector, $0) } }) {
            let ofBlock = (0..<table.lanes).map { lane in (vector * table.lanes + lane) * blocks + block }
            for (four, row) in (0..<8).flatMap({ four in ofBlock.map { (four, $0) } }) {
                let first = row * 32 + 4 * four
                bytes += queries[first..<first + 4]
            }
            for row in ofBlock {
                var sum: Int32 = 0
                for place in row * 32..<row * 32 + 32 { sum += Int32(queries[place]) }
                offsets.append(-128 * sum)
                scales.append(queryScales[row])
            }
        }
        return (bytes, offsets, scales)
    }

    func run(_ out: Guarded, _ maxima: Guarded) -> Int32 {
        guard let product = table.kernels.byte_columns else { return -1 }
        let own = packed()
        let unsigned = keys.map { UInt8(Int($0) + 128) }
        return AtEnd(own.bytes).read { bytes in
            AtEnd(own.offsets).read { offsets in
                AtEnd(own.scales).read { scales in
                    AtEnd(unsigned).read { keys in
                        AtEnd(keyScales).read { keyScales in
                            var rows = support_byte_rows(
                                vectors: Int64(vectors), blocks: Int64(blocks),
                                bytes: UnsafeRawPointer(bytes).assumingMemoryBound(to: Int32.self), offsets: offsets,
                                scales: scales)
                            return product(
                                &rows, keys, keyScales, Int64(columns), out.start, Int64(self.rows), maxima.start)
                        }
                    }
                }
            }
        }
    }

    func run() -> Int32 { run(Guarded(columns * rows), Guarded([Float](repeating: -.infinity, count: rows))) }

    /// The largest error, in the sum of the blocks' sizes.
    func furthest(_ out: Guarded) -> Double {
        var worst = 0.0
        for j in 0..<columns {
            for r in 0..<rows {
                var (exact, size) = (0.0, 0.0)
                for block in 0..<blocks {
                    let (row, key) = (r * blocks + block, j * blocks + block)
                    var sum = 0
                    for d in 0..<32 { sum += Int(queries[row * 32 + d]) * Int(keys[key * 32 + d]) }
                    let product = Double(sum) * Double(queryScales[row]) * Double(keyScales[key])
                    exact += product
                    size += abs(product)
                }
                worst = max(worst, abs(Double(out.start[j * rows + r]) - exact) / (size + 1e-30))
            }
        }
        return worst
    }
}

@Suite struct ByteTests {
    /// Sums of 32 are exact: a scale's rounding, and one for each block that is added.
    @Test(arguments: tables, [false, true]) func logitsAreTheProductsOfBytesAndScales(_ table: Table, _ extreme: Bool) {
        var random = SplitMix(101)
        for columns in Array(0...14) + [67] {
            for vectors in 1...5 {
                for blocks in [1, 2, 4, 9] {
                    let product = ByteProduct(
                        table, vectors: vectors, columns: columns, blocks: blocks, extreme: extreme, &random)
                    product.expectLogits(
                        within: Double(blocks + 1) * rounding,
                        "\(columns) columns, \(vectors) vectors, \(blocks) blocks, seed 101")
                }
            }
        }
    }

    @Test(arguments: tables) func aMaximumThatIsThereStays(_ table: Table) {
        var random = SplitMix(102)
        let product = ByteProduct(table, vectors: 1, columns: 7, blocks: 1, &random)
        let maxima = Guarded([Float](repeating: 1e9, count: product.rows))
        #expect(product.run(Guarded(7 * product.rows), maxima) == 1)
        #expect(maxima.values == [Float](repeating: 1e9, count: product.rows))
    }

    @Test(arguments: tables) func eachVectorAndKeyAloneGivesTheSameBits(_ table: Table) {
        var random = SplitMix(103)
        let (vectors, columns, blocks) = (5, 20, 3)
        let all = ByteProduct(table, vectors: vectors, columns: columns, blocks: blocks, &random)
        let out = Guarded(columns * all.rows)
        #expect(all.run(out, Guarded([Float](repeating: -.infinity, count: all.rows))) == 1)
        for vector in 0..<vectors {
            for key in 0..<columns {
                var one = ByteProduct(table, vectors: 1, columns: 1, blocks: blocks, &random)
                let own = vector * table.lanes * blocks..<(vector + 1) * table.lanes * blocks
                one.queries = Array(all.queries[own.lowerBound * 32..<own.upperBound * 32])
                one.queryScales = Array(all.queryScales[own])
                one.keys = Array(all.keys[key * blocks * 32..<(key + 1) * blocks * 32])
                one.keyScales = Array(all.keyScales[key * blocks..<(key + 1) * blocks])
                let alone = Guarded(table.lanes)
                #expect(one.run(alone, Guarded([Float](repeating: -.infinity, count: table.lanes))) == 1)
                let together = (0..<table.lanes).map { out.start[key * all.rows + vector * table.lanes + $0] }
                #expect(alone.values.bits == together.bits, "vector \(vector) key \(key) seed 103")
            }
        }
    }

    /// A block of zeros with such a scale, too: its numbers are NaN.
    @Test(arguments: tables, [Float.nan, .infinity, -.infinity]) func oneBadScaleAtAnyPlaceIsRefused(
        _ table: Table, _ bad: Float
    ) {
        var random = SplitMix(104)
        for (vectors, columns, blocks) in [(1, 13, 2), (3, 7, 3)] {
            var good = ByteProduct(table, vectors: vectors, columns: columns, blocks: blocks, &random)
            for place in 0..<32 { (good.queries[place], good.keys[place]) = (0, 0) }
            #expect(good.run() == 1)
            for place in good.keyScales.indices {
                var product = good
                product.keyScales[place] = bad
                #expect(product.run() == 0, "key scale \(place)")
            }
            for place in good.queryScales.indices {
                var product = good
                product.queryScales[place] = bad
                #expect(product.run() == 0, "query scale \(place)")
            }
            var product = good
            (product.keyScales[1], product.queryScales[1]) = (Float.greatestFiniteMagnitude, 2)
            #expect(product.run() == 0, "a product that overflows")
        }
    }

    @Test(arguments: Table.all) func splitBlocksAreTheirBytesAndScales(_ table: Table) {
        for blocks in [0, 1, 2, 3, 7, 64, 1000] {
            var random = SplitMix(UInt64(105 + blocks))
            let source = random.bytes(blocks * 34)
            let scales = Guarded(blocks)
            var bytes = [UInt8](repeating: 0x5a, count: blocks * 32 + 128)
            bytes.withUnsafeMutableBufferPointer { buffer in
                guard let start = buffer.baseAddress else { return }
                AtEnd(source).read { table.kernels.split_q8_0($0, start + 64, scales.start, Int64(blocks * 32)) }
            }
            let numbers = bytes[64..<64 + blocks * 32].map { Float(Int($0) - 128) }
            let expected = decoded(.q8, source)
            let wrong = expected.indices.filter {
                let product = scales.start[$0 / 32] * numbers[$0]
                return expected[$0].isNaN ? !product.isNaN : product.bitPattern != expected[$0].bitPattern
            }
            #expect(wrong.isEmpty && scales.intact, "\(blocks) blocks, seed \(105 + blocks)")
            #expect((bytes.prefix(64) + bytes.suffix(64)).allSatisfy { $0 == 0x5a }, "\(blocks) blocks")
        }
    }

    #if arch(x86_64) && os(Linux)
    /// By what the system says of the processor: a table without the product would change nothing that other tests see.
    @Test func theyAreThereWhereTheProcessorHasThem() throws {
        let flags = try #require(
            String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8).split(separator: "\n").first {
                $0.hasPrefix("flags")
            }
        ).split(separator: " ")
        let asked = ProcessInfo.processInfo.environment["KVSIEVE_ISA"] ?? ""
        let isCapped = ["base", "v2", "v3", "v4", "v4bf16"].contains(asked)
        for table in Table.all {
            let flag = table.lanes == 16 ? "avx512_vnni" : "avx_vnni"
            let expected = table.lanes > 4 && flags.contains { $0 == flag } && !isCapped
            #expect((table.kernels.byte_columns != nil) == expected, "\(table.testDescription)")
        }
    }
    #endif
}

// Queries as bytes, and attention by the product of bytes: against the numbers that bytes and scales stand for.
import CSupport
import TestSupport
import Testing

@testable import KVSieveCore

/// Query rows of a part, packed.
private struct Packed {
    let rows: Int, dim: Int
    private let memory: [Float]

    init(_ numbers: [[Float]]) {
        let dim = numbers[0].count
        var memory = [Float](repeating: -1, count: numbers.count * ByteRows.words(dim))
        memory.withUnsafeMutableBufferPointer { memory in
            guard let start = memory.baseAddress else { return }
            let packed = ByteRows(start, rows: numbers.count, dim: dim)
            for (row, numbers) in numbers.enumerated() { packed.pack(numbers, row: row) }
        }
        (rows, self.dim, self.memory) = (numbers.count, dim, memory)
    }

    /// Of a row's block: its bytes, its offset and its scale, as support_byte_rows says where they are.
    func block(_ row: Int, _ block: Int) -> (bytes: [Int], offset: Int32, scale: Float) {
        let lanes = Int(kernels.lanes)
        let place = (row / lanes * (dim / 32) + block) * lanes + row % lanes
        let bytes = (0..<8).flatMap { four -> [Int] in
            let bits = memory[(place - row % lanes) * 8 + four * lanes + row % lanes].bitPattern
            return (0..<4).map { Int(Int8(truncatingIfNeeded: bits >> (8 * $0))) }
        }
        let offset = Int32(bitPattern: memory[rows * dim / 4 + place].bitPattern)
        return (bytes, offset, memory[rows * dim / 4 + rows * dim / 32 + place])
    }
}

/// One layer of random Q8_0 keys.
private struct CoarseLayer {
    var heads = 2, group = 3, window = 7, tokens = 2 * AttentionTiles.longestTile + 77, dim = 64
    var layout = Layout.headMajor
    /// Are queries blocks of whole numbers up to 127 times a power of two, which bytes hold exactly?
    var exact = true
    var readsAll = false
    var gain: Double = 1
    let seed: UInt64

    private var reads: Reads { .queries(readsAll ? .all : .last(window)) }

    private func queries(_ random: inout SplitMix, _ rows: Int) -> [Float] {
        let count = heads * group * rows * dim
        guard exact else { return random.floats(count) }
        return (0..<count / 32).flatMap { _ -> [Float] in
            let scale = Float(sign: .plus, exponent: -7 - random.below(4), significand: 1)
            let place = random.below(32)
            return (0..<32).map { scale * ($0 == place ? -127 : Float(random.below(255) - 127)) }
        }
    }

    /// Column sums, a head each or a query head each.
    func columns(coarse: Bool, threads: Int = 1, perQueryHead: Bool = false) throws -> [[Float]] {
        var random = SplitMix(seed)
        let shape = try ModelShape(layers: 1, queryHeads: heads * group, heads: heads, headDim: dim, scale: 0.125)
        let rows = readsAll ? tokens : min(window, tokens)
        let q = Tensor(queries(&random, rows), heads: heads * group, tokens: rows, dim: dim)
        let k = Tensor.narrow(heads: heads, tokens: tokens, dim: dim, .q8, layout, seed: seed + 1).narrow
        let view = try LayerView(
            shape, layer: 0, length: nil, reads: reads,
            LayerTensors(queries: q.view("queries"), keys: k.view("keys")), coarse: coarse)
        let work = Workspace(threads: threads)
        guard perQueryHead else {
            let layer = Layer(view, .whole(view.length), work, scores: TableMemory(work.account))
            let gain = gain
            let table = try layer.attention { _ in gain }
            return (0..<table.rows).map { table.copy($0) }
        }
        var all: [[Float]] = []
        try WindowAttention(view, work).forEachGroup(work) { (_, sums) throws(KVSieveError) in
            all += (0..<sums.rows).map { sums.copy($0) }
        }
        return all
    }
}

@Suite struct CoarseTests {
    @Test func bytesAreTheNumbersToNearest() {
        var random = SplitMix(111)
        let sizes: [Float] = [0x1p-99, 1e-20, 0.1, 1, 3e4, 1e38]
        let numbers = sizes.flatMap { size in (0..<16).map { _ in random.floats(96).map { $0 * size } } }
        let packed = Packed(numbers)
        for (row, block) in numbers.indices.flatMap({ row in (0..<3).map { (row, $0) } }) {
            let own = numbers[row][block * 32..<block * 32 + 32]
            let (bytes, offset, scale) = packed.block(row, block)
            #expect(scale == (own.map(abs).max() ?? 0) / 127)
            #expect(offset == -128 * Int32(bytes.reduce(0, +)) && bytes.map(abs).max() == 127)
            for (number, byte) in zip(own, bytes) {
                let distance = abs(Double(number) - Double(byte) * Double(scale))
                #expect(distance <= 0.50002 * Double(scale), "row \(row), block \(block), seed 111")
            }
        }
    }

    @Test func blocksOfZerosAndOfBadNumbers() {
        let lanes = Int(kernels.lanes)
        var rows = [[Float]](repeating: [Float](repeating: 1, count: 64), count: 2 * lanes)
        rows[0] = [Float](repeating: 0, count: 64)
        rows[1] = [Float](repeating: 0x1p-101, count: 32) + [Float](repeating: 0x1p-149, count: 32)
        rows[2][5] = .nan
        rows[2][40] = -.infinity
        rows[lanes][31] = .infinity
        let packed = Packed(rows)
        for (row, block) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let (bytes, offset, scale) = packed.block(row, block)
            #expect(bytes.allSatisfy { $0 == 0 } && offset == 0 && scale == 0)
        }
        #expect(packed.block(2, 0).scale.isNaN && packed.block(2, 1).scale.isNaN)
        #expect(packed.block(lanes, 0).scale.isNaN)
        #expect(packed.block(lanes, 1).bytes == [Int](repeating: 127, count: 32))
        #expect(packed.block(3, 0).scale == 1 / Float(127))
    }

    /// Queries that bytes hold exactly: nothing is coarser, whatever the layout and the place in a tile.
    @Test(arguments: Layout.allCases, [false, true]) func queriesOfBytesGiveTheSameAttention(
        _ layout: Layout, _ perQueryHead: Bool
    ) throws {
        for (seed, tokens) in [1, 6, 40, 385, 2 * AttentionTiles.longestTile + 77].enumerated() {
            var layer = CoarseLayer(tokens: tokens, seed: UInt64(120 + seed))
            layer.layout = layout
            let expected = try layer.columns(coarse: false, perQueryHead: perQueryHead)
            let found = try layer.columns(coarse: true, perQueryHead: perQueryHead)
            let worst = zip(found, expected).map { furthest($0, $1.map(Double.init)) }.max() ?? .infinity
            #expect(found.count == expected.count && worst <= 1e-5, "\(tokens) tokens, seed \(120 + seed)")
        }
    }

    @Test func allRowsAndGainsToo() throws {
        for (readsAll, gain) in [(true, 1.0), (false, 0.25), (true, 2)] {
            var layer = CoarseLayer(tokens: 150, seed: 131)
            (layer.readsAll, layer.gain) = (readsAll, gain)
            let (expected, found) = (try layer.columns(coarse: false), try layer.columns(coarse: true))
            let worst = zip(found, expected).map { furthest($0, $1.map(Double.init)) }.max() ?? .infinity
            #expect(worst <= 1e-5, "all rows \(readsAll), gain \(gain), seed 131")
        }
    }

    /// Other queries are rounded where the processor has the product; else nothing changes.
    @Test func otherQueriesAreRounded() throws {
        var layer = CoarseLayer(tokens: 900, seed: 141)
        layer.exact = false
        let (plain, coarse) = (try layer.columns(coarse: false), try layer.columns(coarse: true))
        #expect((plain != coarse) == (kernels.byte_columns != nil))
        for (plain, coarse) in zip(plain, coarse) { #expect(furthest(coarse, plain.map(Double.init)) <= 0.1) }
    }

    @Test(arguments: [false, true]) func theNumberOfThreadsChangesNoBit(_ perQueryHead: Bool) throws {
        for (seed, tokens) in [50, 500, 1300].enumerated() {
            var layer = CoarseLayer(tokens: tokens, seed: UInt64(150 + seed))
            layer.exact = false
            let one = try layer.columns(coarse: true, perQueryHead: perQueryHead)
            for threads in [2, 3, 4] {
                let many = try layer.columns(coarse: true, threads: threads, perQueryHead: perQueryHead)
                #expect(many == one, "\(tokens) tokens, \(threads) threads")
            }
        }
    }
}

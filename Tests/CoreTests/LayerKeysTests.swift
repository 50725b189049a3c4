// Tables of a layer's keys alone, and of random numbers: against naive double, heads of one length and of several.
import TestSupport
import Testing

@testable import KVSieveCore

private struct Keys: Sendable, CustomTestStringConvertible {
    let lengths: [Int], dim: Int
    var type = ElementType.float32
    var layout = Layout.headMajor
    var seed: UInt64 = 1
    var testDescription: String { "rows \(lengths) D\(dim) \(type.name) \(layout) seed \(seed)" }

    static let all: [Keys] =
        [
            Keys(lengths: [60, 60], dim: 16), Keys(lengths: [1], dim: 5),
            Keys(lengths: [70, 33, 48], dim: 33, seed: 2),
            Keys(lengths: [300, 300, 300, 300], dim: 128, seed: 3), Keys(lengths: [9, 2], dim: 1, seed: 4),
        ]
        + elementTypes.flatMap { type in
            Layout.allCases.map { Keys(lengths: [40, 23], dim: 21, type: type, layout: $0, seed: 5) }
        }

    /// What a head's row `token` holds.
    final class Input: @unchecked Sendable {
        let keys: Keys
        let floats: [Float]
        let tensor: Tensor
        let work: Workspace
        let longest: Int

        init(
            _ keys: Keys, threads: Int = 1,
            change: (_ head: Int, _ token: Int, _ row: inout [Float]) -> Void = { _, _, _ in }
        )
            throws
        {
            self.keys = keys
            longest = keys.lengths.max() ?? 0
            work = Workspace(threads: threads)
            var random = SplitMix(keys.seed)
            var all: [Float] = []
            for head in keys.lengths.indices {
                for token in 0..<longest {
                    var row = random.eighths(keys.dim)
                    change(head, token, &row)
                    // Nothing past a shorter head's rows is read.
                    all += token < keys.lengths[head] ? row : row.map { _ in .nan }
                }
            }
            floats = all
            tensor = Tensor(all, heads: keys.lengths.count, tokens: longest, dim: keys.dim, keys.type, keys.layout)
        }

        func row(_ head: Int, _ token: Int) -> [Double] {
            let first = (head * longest + token) * keys.dim
            return floats[first..<first + keys.dim].map(Double.init)
        }

        func layer() throws -> Layer {
            let heads = keys.lengths.count
            let shape = try ModelShape(layers: 8, queryHeads: heads, heads: heads, headDim: keys.dim)
            let view = try LayerView(
                shape, layer: 5, length: cacheLength(keys.lengths), reads: .keys, LayerTensors(keys: tensor.view()))
            return Layer(view, .whole(view.length), work, scores: TableMemory(work.account))
        }
    }
}

private func norm(_ row: [Double]) -> Double { row.reduce(0) { $0 + $1 * $1 }.squareRoot() }

@Suite struct LayerKeysTests {
    @Test(arguments: Keys.all, [1, 3]) fileprivate func normsAreThoseOfTheRows(_ keys: Keys, _ threads: Int) throws {
        let input = try Keys.Input(keys, threads: threads)
        let table = try input.layer().keyNorms()
        for (head, rows) in keys.lengths.enumerated() {
            let exact = (0..<rows).map { norm(input.row(head, $0)) }
            #expect(furthest(table.copy(head), exact) <= 1e-6, "head \(head)")
        }
    }

    /// Cosines with the mean of the directions; a zero key has none and adds none.
    private func exactCosines(_ input: Keys.Input, _ head: Int, _ rows: Int) -> [Double] {
        let dim = input.keys.dim
        let directions = (0..<rows).map { token -> [Double] in
            let (row, length) = (input.row(head, token), norm(input.row(head, token)))
            return row.map { length > 0 ? $0 / length : 0 }
        }
        let mean = (0..<dim).map { d in directions.reduce(0) { $0 + $1[d] } / Double(rows) }
        let length = norm(mean)
        return directions.map { zip($0, mean).reduce(0) { $0 + $1.0 * $1.1 } / (length > 1e-12 ? length : .infinity) }
    }

    private func check(_ input: Keys.Input) throws {
        let table = try input.layer().keyCosinesToMean()
        for (head, rows) in input.keys.lengths.enumerated() {
            let exact = exactCosines(input, head, rows)
            for (found, exact) in zip(table.copy(head), exact) { #expect(abs(Double(found) - exact) <= 2e-6) }
            #expect(table.copy(head).count == rows)
        }
    }

    @Test(arguments: Keys.all, [1, 3]) fileprivate func cosinesAreWithTheMeanDirection(
        _ keys: Keys, _ threads: Int
    ) throws {
        try check(Keys.Input(keys, threads: threads))
    }

    /// Lengths are taken out: keys of very different sizes.
    @Test(arguments: Keys.all) fileprivate func theLengthOfAKeyDoesNotCount(_ keys: Keys) throws {
        try check(
            Keys.Input(keys) { _, token, row in
                if keys.type == .float32 { row = row.map { $0 * (token % 3 == 0 ? 1e4 : token % 3 == 1 ? 1 : 1e-4) } }
            })
    }

    @Test(arguments: Keys.all) fileprivate func zeroKeysHaveCosineZero(_ keys: Keys) throws {
        let input = try Keys.Input(keys) { _, token, row in
            if token % 4 == 1 { row = row.map { _ in 0 } }
        }
        try check(input)
        let table = try input.layer().keyCosinesToMean()
        for (head, rows) in keys.lengths.enumerated() {
            for token in stride(from: 1, to: rows, by: 4) { #expect(table.copy(head)[token] == 0) }
        }
    }

    /// Keys that cancel out exactly, and keys that are all zero: no direction, all cosines 0.
    @Test(arguments: [true, false]) func withoutAMeanAllCosinesAreZero(_ cancel: Bool) throws {
        let input = try Keys.Input(Keys(lengths: [8, 8], dim: 4)) { _, token, row in
            row = [cancel ? (token % 2 == 0 ? 1 : -1) : 0, 0, 0, 0]
        }
        let table = try input.layer().keyCosinesToMean()
        for head in 0..<2 { #expect(table.copy(head) == [Float](repeating: 0, count: 8)) }
    }

    @Test(arguments: elementTypes, [1, 2]) func aBadKeyIsRefusedWithItsPlace(_ type: ElementType, _ threads: Int) throws
    {
        for bad in [Float.nan, .infinity] {
            let input = try Keys.Input(Keys(lengths: [20, 20, 20], dim: 6, type: type), threads: threads)
            input.tensor.set(2, 3, 0, bad)
            input.tensor.set(1, 17, 5, bad)
            let sentence =
                "keys of layer 5, kv head 1, token 17 have NaN or infinity, or a squared norm that overflows"
            expectRefusal(.nonfinite, sentence) { _ = try input.layer().keyNorms() }
            expectRefusal(.nonfinite, sentence) { _ = try input.layer().keyCosinesToMean() }
        }
    }
}

@Suite struct NoiseTests {
    private func mix(_ x: UInt64) -> UInt64 {
        var z = x &+ 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    private func number(_ seed: Int, _ layer: Int, _ head: Int, _ position: Int) -> Float {
        Float(mix(mix(mix(mix(UInt64(seed)) ^ UInt64(layer)) ^ UInt64(head)) ^ UInt64(position)) >> 40) / 16_777_216
    }

    private func layer(_ length: CacheLength, _ work: Workspace, origins: RowOrigins? = nil) throws -> Layer {
        let shape = try ModelShape(layers: 8, queryHeads: 2, heads: 2, headDim: 4)
        let view = try LayerView(
            shape, layer: 3, length: length, reads: .nothing,
            LayerTensors(shape: TensorShape("keys", heads: 2, tokens: length.longest)))
        return Layer(view, .whole(length), work, scores: TableMemory(work.account), origins: origins)
    }

    @Test(arguments: [0, 1, 2_147_483_647]) func numbersAreThoseOfTheFormula(_ seed: Int) throws {
        let table = try layer(CacheLength(prompt: 1000), Workspace(threads: 1)).noise(seed: seed)
        for head in 0..<2 {
            let numbers = table.copy(head)
            #expect(numbers == (0..<1000).map { number(seed, 3, head, $0) })
            #expect(numbers.allSatisfy { $0 >= 0 && $0 < 1 })
            #expect(abs(numbers.reduce(0, +) / 1000 - 0.5) < 0.05)
        }
    }

    /// In an extended cache the number of a row is that of its token, whatever the row.
    @Test func numbersBelongToPositions() throws {
        let work = Workspace(threads: 1)
        let prompt = Frame(CacheLength(prompt: 10), sinks: 1, recent: 2)
        let kept = try Selection(
            prompt, makeScores(work.account, [[1, 9, 1, 8, 1, 1, 1], [1, 1, 1, 1, 1, 9, 1]]), units: [2, 1], work)
        let length = CacheLength(seen: 12, new: 2, heads: [7, 6], ofModel: 13)
        let table = try layer(length, work, origins: RowOrigins(kept: kept, seen: 10)).noise(seed: 9)
        #expect(table.copy(0) == [0, 2, 4, 8, 9, 10, 11].map { number(9, 3, 0, $0) })
        #expect(table.copy(1) == [0, 6, 8, 9, 10, 11].map { number(9, 3, 1, $0) })
    }
}

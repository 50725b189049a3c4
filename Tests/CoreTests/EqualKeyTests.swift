// Equal keys have equal scores at every position, bit for bit: in every part of a tile, in tiles of any length, in a
// step. Run for every instruction set (Tests/run.py).
import TestSupport
import Testing

@testable import KVSieveCore

/// Multiples of nothing: one short tile, one, two and four whole ones with a shorter last.
private let lengths = [5, 23, 53, 131, 389, 769, 1303]
private let dims = [1, 7, 16, 31, 64, 128, 129, 300]

private struct Case: Sendable, CustomTestStringConvertible {
    let tokens: Int, dim: Int
    let type: ElementType
    let group: Int, window: Int
    var testDescription: String { "T \(tokens) D \(dim) \(type.name) G \(group) W \(window)" }

    /// Every length with every dim; rows from one to more than a block of any kernel.
    static let all = lengths.enumerated().flatMap { l, tokens in
        dims.enumerated().map { d, dim in
            Case(
                tokens: tokens, dim: dim, type: elementTypes[(l + d) % 3], group: 1 + (l + d) % 4,
                window: [1, 3, 8, 16, 29][(2 * l + d) % 5])
        }
    }

    /// Queries that are positive, and `keys`.
    func columns(_ threads: Int, perQueryHead: Bool, _ keys: [Float], _ random: inout SplitMix) throws -> [Float] {
        let attention = Attention(
            group: group, window: window, tokens: tokens, dim: dim, type: type, layout: .padded)
        let input = try attention.make()
        for (index, value) in random.floats(group * attention.rows * dim, in: 0.1...1).enumerated() {
            input.queries.set(index / dim / attention.rows, index / dim % attention.rows, index % dim, value)
        }
        for (index, value) in keys.enumerated() { input.keys.set(0, index / dim, index % dim, value) }
        return try input.columns(Workspace(threads: threads), perQueryHead: perQueryHead)[0]
    }
}

/// Candidates that are not seen by all rows are left out: their sums have fewer terms.
private func different(_ columns: [Float], _ tokens: Int, _ places: [Int]) -> [Int] {
    places.filter { place in
        stride(from: 0, to: columns.count, by: tokens).contains {
            columns[$0 + place].bitPattern != columns[$0 + places[0]].bitPattern
        }
    }
}

@Suite struct EqualKeyTests {
    @Test(arguments: Case.all, [1, 2]) private func keysThatAreAllEqualHaveEqualColumns(_ c: Case, _ threads: Int)
        throws
    {
        var random = SplitMix(101)
        let key = random.floats(c.dim)
        let keys = (0..<c.tokens).flatMap { _ in key }
        let seenByAll = Array(0...max(0, c.tokens - c.window))
        for perQueryHead in [false, true] {
            let columns = try c.columns(threads, perQueryHead: perQueryHead, keys, &random)
            #expect(different(columns, c.tokens, seenByAll) == [], "per query head \(perQueryHead), seed 101")
        }
    }

    /// One key among others, at about half of the places of every tile. It has the highest logit in each row, so that each of
    /// its tiles takes exponentials relative to the same maximum.
    @Test(arguments: Case.all, [1, 2]) private func oneKeyAtManyPlacesHasEqualColumns(_ c: Case, _ threads: Int)
        throws
    {
        var random = SplitMix(102)
        let key = random.floats(c.dim, in: 1...2)
        var places: [Int] = []
        let last = max(0, c.tokens - c.window)
        let keys = (0..<c.tokens).flatMap { j in
            guard j == 0 || j == last || random.below(2) == 0 else { return random.floats(c.dim, in: -1...0.9) }
            if j <= last { places.append(j) }
            return key
        }
        for perQueryHead in [false, true] {
            let columns = try c.columns(threads, perQueryHead: perQueryHead, keys, &random)
            #expect(different(columns, c.tokens, places) == [], "per query head \(perQueryHead), seed 102")
        }
    }

    /// The products of a step: keys go through in tiles of 64.
    @Test(arguments: elementTypes, dims) func aStepsLogitsOfEqualKeysAreEqual(_ type: ElementType, _ dim: Int) throws {
        var random = SplitMix(103)
        for (tokens, group, rows) in [(1, 1, 131), (1, 4, 67), (3, 3, 389), (7, 1, 65)] {
            let shape = try ModelShape(layers: 1, queryHeads: group, heads: 1, headDim: dim)
            let key = random.floats(dim)
            var places: [Int] = []
            let keys = (0..<rows).flatMap { j in
                guard j == 0 || j == rows - 1 || random.below(2) == 0 else { return random.floats(dim) }
                places.append(j)
                return key
            }
            let queries = Tensor(random.floats(group * tokens * dim), heads: group, tokens: tokens, dim: dim, type)
            let tensor = Tensor(keys, heads: 1, tokens: rows, dim: dim, type)
            let input = try StepInput(
                shape, layer: 0, queries: queries.view("queries"), keys: tensor.view("keys"), values: nil)
            let work = Workspace(threads: 1)
            try input.reserve(work)
            try input.make(0, work, work.caller)
            let logits = try input.logits(fromQueryHead: 0, work)
            for row in 0..<group * tokens {
                let floats = Array(UnsafeBufferPointer(start: logits[row], count: rows))
                #expect(different(floats, rows, places) == [], "row \(row) of \(rows) keys, seed 103")
            }
        }
    }
}

// Attention of all rows, in blocks, and of each query head made smaller a group at a time: against naive double.
import TestSupport
import Testing

@testable import KVSieveCore

/// Around the 64 rows of a block: one, two, some and a rest.
private let blocks: [Attention] =
    [1, 2, 63, 64, 65, 127, 128, 129, 200, 449].map {
        Attention(heads: 2, group: 2, tokens: $0, dim: 8, readsAll: true, scale: 0.25, seed: UInt64($0))
    }
    + elementTypes.flatMap { type in
        Layout.allCases.map {
            Attention(heads: 3, group: 3, tokens: 150, dim: 17, readsAll: true, type: type, layout: $0, seed: 20)
        }
    }

/// New rows of sequences that go on.
private let ragged: [Attention] = [
    ([100, 170, 133], 90), ([300, 66, 65], 65), ([500, 129, 128], 128), ([80, 70, 71], 64), ([40, 30, 33], 30),
].map {
    Attention(
        heads: 3, group: 2, tokens: $0.0.max() ?? 0, dim: 9, lengths: $0.0, new: $0.1, readsAll: true, layout: .padded,
        seed: UInt64($0.1))
}

@Suite struct LayerAttentionTests {
    private func check(_ attention: Attention) throws {
        let input = try attention.make()
        let means = try input.means(Workspace(threads: 1))
        let worst = zip(means, input.exact()).map(furthest).max() ?? .infinity
        #expect(worst <= 1e-5)
        let mass = means.joined().reduce(0.0) { $0 + Double($1) }
        let rows = Double(attention.heads * attention.rows)
        #expect(abs(mass - rows) <= 1e-5 * rows, "every row of probabilities sums to 1")
    }

    @Test(arguments: blocks + ragged) func allRowsAreThoseOfNaiveAttention(_ attention: Attention) throws {
        try check(attention)
    }

    @Test(arguments: blocks + ragged) func gainsAreThoseOfTheTokensSeenInEveryBlock(_ attention: Attention) throws {
        var attention = attention
        attention.gain = { 0.1 * Double($0 % 17) }
        try check(attention)
    }

    @Test(arguments: blocks + ragged, [2, 3, 7]) func threadsChangeNoBit(
        _ attention: Attention, _ threads: Int
    ) throws {
        let input = try attention.make()
        #expect(try input.means(Workspace(threads: threads)) == input.means(Workspace(threads: 1)))
    }

    /// All rows at once and the same rows as a window: the same column sums but for rounding.
    @Test func aWindowOfAllRowsIsAllRows() throws {
        var attention = Attention(heads: 2, group: 2, window: 200, tokens: 200, dim: 16, seed: 21)
        let asWindow = try attention.make().means(Workspace(threads: 1))
        attention.readsAll = true
        let inBlocks = try attention.make().means(Workspace(threads: 1))
        for (one, other) in zip(asWindow, inBlocks) { #expect(furthest(one, other.map(Double.init)) <= 1e-5) }
    }

    @Test(arguments: elementTypes, [1, 3]) func aBadNumberInAnyBlockIsRefused(
        _ type: ElementType, _ threads: Int
    ) throws {
        let attention = Attention(heads: 2, group: 2, tokens: 150, dim: 7, readsAll: true, type: type, seed: 22)
        let work = Workspace(threads: threads)
        let sentence = "queries or keys of layer 5, kv head 1 have NaN or infinity, or their product overflows"
        for token in [0, 5, 21, 22, 63, 85, 86, 149] {
            let keys = try attention.make()
            keys.keys.set(1, token, 3, .nan)
            expectRefusal(.nonfinite, sentence) { _ = try keys.means(work) }
            let queries = try attention.make()
            queries.queries.set(2, token, 6, .infinity)
            expectRefusal(.nonfinite, sentence) { _ = try queries.means(work) }
        }
    }

    /// What decoding begins with is kept beside the scores, as it was before the method changed its table.
    @Test(arguments: [60, 150]) func decodingFindsTheSumsOfAllRows(_ tokens: Int) throws {
        let input = try Attention(heads: 2, group: 2, tokens: tokens, dim: 8, readsAll: true, seed: 23).make()
        let work = Workspace(threads: 1)
        let layer = Layer(
            input.view, .whole(input.view.length), work, scores: TableMemory(work.account), decodes: true)
        let means = try layer.attention()
        let before = (0..<2).map { means.copy($0) }
        _ = means.negated()
        #expect(work.holdsAllRowSums == (tokens > 64) && work.holdsSoftmaxRows == (tokens <= 64))
        if work.holdsAllRowSums {
            let sums = HeadTable(work.allRowSums, work, .rows(input.view.length), rows: 2)
            for head in 0..<2 { #expect(furthest(sums.copy(head), before[head].map(Double.init)) <= 1e-6) }
        }
    }
}

private let groups: [Attention] = [
    Attention(heads: 3, group: 4, window: 7, tokens: 500, dim: 16, seed: 4),
    Attention(heads: 2, group: 1, window: 5, tokens: 100, dim: 9, type: .bfloat16, seed: 5),
    Attention(heads: 3, group: 2, window: 8, tokens: 120, dim: 8, lengths: [120, 77, 90], new: 30, seed: 6),
]

@Suite struct AttentionOfQueryHeadsTests {
    @Test(arguments: groups, [1, 2, 3]) func wholeSumsAreThoseOfEachQueryHead(
        _ attention: Attention, _ threads: Int
    ) throws {
        let input = try attention.make()
        let work = Workspace(threads: threads)
        let table = try input.layer(work).attentionOfQueryHeads { (sums) throws(KVSieveError) in sums }
        #expect(table.rows == attention.heads * attention.group)
        for (row, exact) in input.exact(perQueryHead: true).enumerated() {
            #expect(furthest(table.copy(row), exact) <= 1e-5, "query head \(row)")
        }
        #expect(work.holdsSoftmaxRows)
    }

    /// Cut to a frame's candidates, and made windows of: rows begin where the memory begins.
    @Test(arguments: groups, [1, 3]) func eachGroupIsMadeSmallerByItself(
        _ attention: Attention, _ threads: Int
    ) throws {
        let input = try attention.make()
        let layer = input.layer(Workspace(threads: threads))
        let frame = Frame(input.view.length, sinks: 3, recent: 8, unit: 6)
        let exact = input.exact(perQueryHead: true)
        let cut = try layer.attentionOfQueryHeads { (sums) throws(KVSieveError) in
            sums.candidates(
                Frame(
                    input.view.length, sinks: 3, recent: 8))
        }
        for (row, exact) in exact.enumerated() {
            let own = frame.of(row / attention.group)
            #expect(furthest(cut.copy(row), Array(exact[own.candidates])) <= 1e-5)
        }
        let windows = try layer.attentionOfQueryHeads { (sums) throws(KVSieveError) in
            sums.candidates(frame).windows(.mean)
        }
        for (row, exact) in exact.enumerated() {
            let own = frame.of(row / attention.group)
            let means = (0..<own.units).map { unit in
                exact[own.positions(ofUnit: unit)].reduce(0, +) / Double(own.positions(ofUnit: unit).count)
            }
            #expect(furthest(windows.copy(row), means) <= 1e-5)
        }
    }
}

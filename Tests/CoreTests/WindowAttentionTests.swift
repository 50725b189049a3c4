// Column sums of the window's attention against naive double: relative error 1e-5, the same bits for any number of threads.
import TestSupport
import Testing

@testable import KVSieveCore

private let tile = AttentionTiles.longestTile

/// Groups, dims, types and layouts, each value of each at least once.
private let shapes: [Attention] =
    (1...16).map { group in
        let dims = [8, 9, 16, 31, 32, 33, 64, 65, 96, 127, 128, 129, 192, 256, 575, 576]
        return Attention(
            heads: 1 + group % 3, group: group, window: 1 + (group * 5) % 13, tokens: 150 + 7 * group,
            dim: dims[group - 1],
            type: elementTypes[group % 3], layout: .allCases[group / 2 % 6], seed: UInt64(group))
    }
    + elementTypes.flatMap { type in
        Layout.allCases.map {
            Attention(heads: 3, group: 2, window: 6, tokens: 2 * tile + 17, dim: 20, type: type, layout: $0, seed: 30)
        }
    }

/// T around the borders of tiles, and windows whose causal tail lies across one.
private let borders: [Attention] = [
    (tile - 1, 8), (tile, 8), (tile + 1, 8), (2 * tile - 1, 16), (2 * tile, 16), (2 * tile + 1, 16),
    (3 * tile + 16, 32),
    (2 * tile + 1, 1), (3 * tile + 200, 400), (2 * tile + 100, 2 * tile), (tile + 5, tile + 5), (tile, tile + 100),
].map { Attention(heads: 2, group: 2, window: $0.1, tokens: $0.0, dim: 8, scale: 0.25, seed: UInt64($0.0)) }

/// Prompts of a token or few, and windows as long as they or longer.
private let short: [Attention] = [(1, 1), (1, 8), (2, 1), (2, 2), (3, 8), (8, 8), (9, 8), (17, 16)].map {
    Attention(heads: 2, group: 3, window: $0.1, tokens: $0.0, dim: 5, seed: UInt64($0.0))
}

/// Rows in several parts: more logits than are held at once.
private let parts = Attention(group: 8, window: 16, tokens: 70_000, dim: 8, scale: 0.25, seed: 70)
/// So long that one vector of rows is more than is held: the last tiles are computed twice.
private let beyond = Attention(
    group: 1, window: 3, tokens: Workspace.mostFloats / Int(kernels.lanes) + 5 * tile + 7, dim: 2, scale: 0.5,
    seed: 71)

/// Caches whose heads kept different numbers of rows.
private let ragged: [Attention] = [
    ([100, 61, 33], 8, 8), ([tile + 1, tile, 40], 12, 30), ([3 * tile + 5, 17, 2 * tile], 16, 16), ([9, 2, 5], 8, 2),
].map {
    Attention(
        heads: 3, group: 2, window: $0.1, tokens: $0.0[0], dim: 9, lengths: $0.0, new: $0.2, layout: .padded,
        seed: UInt64($0.0[0]))
}

private func check(_ attention: Attention, perQueryHead: Bool = false) throws {
    let input = try attention.make()
    let work = Workspace(threads: 1)
    let exact = input.exact(perQueryHead: perQueryHead)
    let columns = try input.columns(work, perQueryHead: perQueryHead)
    let worst = zip(columns, exact).map(furthest).max() ?? .infinity
    #expect(columns.count == exact.count)
    #expect(worst <= 1e-5, "\(attention.testDescription)")
    let mass = columns.joined().reduce(0.0) { $0 + Double($1) }
    let rows = Double(columns.count * attention.rows)
    #expect(abs(mass - rows) <= 1e-5 * rows, "every row of probabilities sums to 1")
}

@Suite struct WindowAttentionTests {
    @Test(arguments: shapes + borders + short + ragged) func columnsAreThoseOfNaiveAttention(
        _ attention: Attention
    ) throws {
        try check(attention)
    }

    @Test(arguments: shapes + borders + short + ragged) func eachQueryHeadsColumnsAreItsOwn(
        _ attention: Attention
    ) throws {
        try check(attention, perQueryHead: true)
    }

    /// Logits of hundreds: most probabilities vanish, none overflows. The data make every logit exact.
    @Test(arguments: [30, 100] as [Float], elementTypes) func bigLogitsAreNoProblem(
        _ scale: Float, _ type: ElementType
    ) throws {
        for (seed, dim) in [8, 64, 127].enumerated() {
            try check(
                Attention(
                    heads: 2, group: 4, window: 8, tokens: tile + 100, dim: dim, scale: scale, type: type,
                    seed: UInt64(seed)))
        }
    }

    /// A row's gain depends on the tokens that its query has seen, the dropped ones included.
    @Test(arguments: [false, true], [[], [tile + 50, 60]]) func gainsMultiplyTheLogitsOfTheirRow(
        _ perQueryHead: Bool, _ lengths: [Int]
    ) throws {
        let attention = Attention(
            heads: 2, group: 3, window: 12, tokens: tile + 50, dim: 24, lengths: lengths, new: 20,
            gain: { 0.25 * Double($0 % 11) }, seed: 80)
        try check(attention, perQueryHead: perQueryHead)
        var plain = attention
        plain.gain = nil
        let work = Workspace(threads: 1)
        let without = try plain.make().columns(work, perQueryHead: perQueryHead)
        #expect(try attention.make().columns(work, perQueryHead: perQueryHead) != without)
        plain.gain = { _ in 1 }
        #expect(try plain.make().columns(work, perQueryHead: perQueryHead) == without)
    }

    @Test(arguments: [false, true]) func severalPassesOverTheKeysGiveTheSame(_ perQueryHead: Bool) throws {
        let input = try parts.make()
        let layout = RowLayout(group: parts.group, window: parts.window, padEachHead: perQueryHead)
        let tiles = try AttentionTiles(
            WindowAttention(input.view, Workspace(threads: 1)), layout,
            sumRows: perQueryHead ? parts.group : 1,
            cacheRows: parts.tokens)
        #expect(tiles.partRows < layout.padded, "the case has become too small")
        try check(parts, perQueryHead: perQueryHead)
    }

    @Test func tilesThatAreNotHeldAreComputedASecondTime() throws {
        let input = try beyond.make()
        let layout = RowLayout(group: 1, window: beyond.window, padEachHead: false)
        let tiles = try AttentionTiles(
            WindowAttention(input.view, Workspace(threads: 1)), layout, sumRows: 1, cacheRows: beyond.tokens)
        #expect(tiles.held < tiles.count, "the case has become too small")
        try check(beyond)
    }

    @Test(arguments: shapes + borders + ragged + [parts, beyond]) func theNumberOfThreadsChangesNoBit(
        _ attention: Attention
    )
        throws
    {
        let input = try attention.make()
        for perQueryHead in [false, true] {
            let one = try input.columns(Workspace(threads: 1), perQueryHead: perQueryHead)
            for threads in attention.tokens > 10_000 ? [4] : [2, 4, 7] {
                let many = try input.columns(Workspace(threads: threads), perQueryHead: perQueryHead)
                #expect(many == one, "\(threads) threads")
            }
        }
    }

    @Test func aWorkspaceThatWasUsedForSomethingElseChangesNoBit() throws {
        let used = Workspace(threads: 3)
        for attention in shapes {
            let input = try attention.make()
            #expect(try input.columns(used) == input.columns(Workspace(threads: 3)))
            #expect(
                try input.columns(used, perQueryHead: true) == input.columns(Workspace(threads: 3), perQueryHead: true))
        }
    }

    /// The data are exact in every type: types and layouts change nothing at all.
    @Test func typesAndLayoutsChangeNoBit() throws {
        var attention = Attention(heads: 3, group: 2, window: 6, tokens: 2 * tile + 17, dim: 21, seed: 81)
        let expected = try attention.make().columns(Workspace(threads: 1))
        for type in elementTypes {
            for layout in Layout.allCases {
                (attention.type, attention.layout) = (type, layout)
                #expect(try attention.make().columns(Workspace(threads: 1)) == expected, "\(type.name) \(layout)")
            }
        }
    }
}

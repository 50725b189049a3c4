// Layers in one ranking against a full stable sort over (layer, head, position).
import TestSupport
import Testing

@testable import KVSieveCore

/// Places that each layer of `all` wins, layers as [head][position].
private func expected(_ all: [[[Float]]], _ places: Int) -> [Int] {
    let entries = all.enumerated().flatMap { layer, heads in heads.flatMap { $0 }.map { (layer, $0) } }
    var won = all.map { _ in 0 }
    for entry in stableOrder(entries.map(\.1)).prefix(max(0, places)) { won[entries[entry].0] += 1 }
    return won
}

private func winners(_ layers: [LayerScores?], places: Int, _ work: Workspace) throws -> [Int] {
    Array(try LayerQuota.counts(layers, places: places, work))
}

@Suite struct LayerQuotaTests {
    @Test(arguments: RowKind.allCases, [1 as UInt64, 2, 3]) func countsAreTheWinnersOfAStableSort(
        _ kind: RowKind, _ seed: UInt64
    ) throws {
        var random = SplitMix(seed)
        let work = Workspace(threads: 1)
        let all = (0..<6).map { layer in
            // Heads that share one ranking have one row.
            (0..<(layer == 4 ? 1 : 3)).map { _ in kind.make(30 + layer, &random) }
        }
        let layers = try all.map { try makeScores(work.account, $0) }
        let total = all.reduce(0) { $0 + $1.count * $1[0].count }
        for places in [-3, 0, 1, 2, 7, 100, 333, total - 1, total, total + 50] {
            #expect(
                try winners(layers, places: places, work) == expected(all, places),
                "\(places) places, seed \(seed)")
        }
        for places in stride(from: 1, to: total, by: 13) {
            #expect(
                try winners(layers, places: places, work) == expected(all, places),
                "\(places) places, seed \(seed)")
        }
    }

    /// Layers that kept everything have no scores, and heads of an extended cache have different numbers of them.
    @Test(arguments: RowKind.allCases) func layersWithoutScoresAndHeadsOfOtherLengthsCompete(_ kind: RowKind) throws {
        var random = SplitMix(8)
        let work = Workspace(threads: 1)
        let lengths = [[30, 12, 1], [], [7, 7, 7], [1, 40, 22], []]
        let all = lengths.map { heads in heads.map { kind.make($0, &random) } }
        let layers = try zip(lengths, all).map { heads, rows -> LayerScores? in
            let frame = Frame(cacheLength(heads), sinks: 0, recent: 0)
            return heads.isEmpty ? nil : try makeScores(work.account, rows, columns: .units(frame))
        }
        let total = lengths.joined().reduce(0, +)
        for places in 0...total {
            #expect(try winners(layers, places: places, work) == expected(all, places), "\(places) places, seed 8")
        }
    }

    /// DynamicKV asks after every layer: what was counted before must not be in the way.
    @Test(arguments: RowKind.allCases) func countsAreRightAsLayersAreAdded(_ kind: RowKind) throws {
        var random = SplitMix(9)
        let work = Workspace(threads: 1)
        var all: [[[Float]]] = []
        var layers: [LayerScores] = []
        for seen in 1...8 {
            all.append((0..<2).map { _ in kind.make(50, &random) })
            layers.append(try makeScores(work.account, all[seen - 1]))
            let places = 40 * seen
            #expect(
                try winners(layers, places: places, work) == expected(all, places), "\(seen) layers, seed 9")
        }
    }

    @Test func memoryThatIsUsedAgainIsCountedAgain() throws {
        let work = Workspace(threads: 1)
        let scores = try makeScores(work.account, [[1, 2, 3, 4]])
        let other = try makeScores(work.account, [[2.5, 2.5, 2.5, 2.5]])
        #expect(try winners([scores, other], places: 2, work) == [2, 0])
        try scores.take(fill(scores.memory, [[1, 1, 1, 1]], work))
        #expect(try winners([scores, other], places: 2, work) == [0, 2])
    }

    @Test func oneLayerWinsAllPlacesAndNoLayersNone() throws {
        let work = Workspace(threads: 1)
        let scores = try makeScores(work.account, [[1, 1, 1], [1, 1, 1]])
        #expect(try winners([scores], places: 4, work) == [4])
        #expect(try winners([], places: 4, work) == [])
    }

    /// More equal scores than are copied out: all are read again instead. Earlier layers win.
    @Test func aBucketThatIsTooLargeIsRankedAllTheSame() throws {
        let work = Workspace(threads: 1)
        let units = 4000
        let layers = try (0..<3).map { layer -> LayerScores in
            var rows = [[Float]](repeating: [Float](repeating: 0.5, count: units), count: 2)
            rows[1][units - 1] = 0.25 + Float(layer)
            return try makeScores(work.account, rows)
        }
        // Best: layer 2's 2.25, layer 1's 1.25; then the equals, layer by layer.
        #expect(try winners(layers, places: 1, work) == [0, 0, 1])
        #expect(try winners(layers, places: 2, work) == [0, 1, 1])
        #expect(try winners(layers, places: 100, work) == [98, 1, 1])
        #expect(try winners(layers, places: 2 * units + 5, work) == [2 * units - 1, 5, 1])
        #expect(try winners(layers, places: 6 * units - 1, work) == [2 * units - 1, 2 * units, 2 * units])
    }
}

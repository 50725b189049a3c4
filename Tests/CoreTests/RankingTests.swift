import Testing

// Rankings against a stable sort: the best n, ties to the lower index.
@testable import KVSieveCore

private struct Random: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ (state >> 29)
    }
}

private enum Kind: CaseIterable { case random, constant, ascending, descending, fewValues, negative, zeros }

private func row(_ kind: Kind, _ count: Int, _ seed: UInt64) -> [Float] {
    var random = Random(state: seed)
    return (0..<count).map { index in
        switch kind {
        case .random: return Float.random(in: 0..<1, using: &random)
        case .constant: return 0.25
        case .ascending: return Float(index)
        case .descending: return -Float(index)
        case .fewValues: return Float(Int.random(in: 0..<4, using: &random))
        case .negative: return Float.random(in: -3..<1, using: &random)
        case .zeros: return Bool.random(using: &random) ? 0 : -0.0
        }
    }
}

@Suite struct RankingTests {
    @Test(arguments: Kind.allCases, [0, 1, 2, 3, 17, 100, 2049]) private func bestUnitsAreTheTopOfAStableSort(
        _ kind: Kind, _ count: Int
    ) {
        let values = row(kind, count, UInt64(count) + 5)
        let order = values.indices.sorted { values[$0] != values[$1] ? values[$0] > values[$1] : $0 < $1 }
        var histogram = [Int](repeating: 0, count: RankThreshold.histogramSize)
        for take in Set([0, 1, count / 3, count - 1, count]) where take >= 0 && take <= count {
            var out = [Int32](repeating: -7, count: count + 1)
            values.withUnsafeBufferPointer { BestUnits.select($0, count: take, histogram: &histogram, out: &out) }
            #expect(out.prefix(take).map(Int.init) == order.prefix(take).sorted())
            #expect(out[take...].allSatisfy { $0 == -7 })
        }
    }

    /// Layers of different sizes in one ranking: (score, layer, head, position), by a stable sort.
    @Test(arguments: Kind.allCases, [1 as UInt64, 2, 3]) private func rankShareCountsTheWinnersOfAStableSort(
        _ kind: Kind, _ seed: UInt64
    ) throws {
        let account = MemoryAccount()
        let work = Workspace(threads: 1, account: account)
        var all: [(Float, Int)] = []
        let layers = try (0..<5).map { layer -> LayerScores in
            let scores = LayerScores(account)
            try scores.reserve(rows: 3, units: 40 + layer)
            for head in 0..<3 {
                let values = row(kind, 40 + layer, seed * 100 + UInt64(layer * 3 + head))
                for (unit, value) in values.enumerated() { scores.row(head)[unit] = value }
                all += values.map { ($0, layer) }
            }
            return scores
        }
        let order = all.indices.sorted { all[$0].0 != all[$1].0 ? all[$0].0 > all[$1].0 : $0 < $1 }
        for places in [0, 1, 7, 100, 333, all.count - 1, all.count, all.count + 50] {
            var expected = [0, 0, 0, 0, 0]
            for entry in order.prefix(places) { expected[all[entry].1] += 1 }
            #expect(try RankShare.counts(layers, places: places, work) == expected)
        }
    }
}

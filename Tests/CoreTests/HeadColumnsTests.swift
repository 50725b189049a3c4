// Columns cut to the candidates, pooled, averaged over windows: against naive double.
import TestSupport
import Testing

@testable import KVSieveCore

/// Columns (sumRows, T) of one head, made by hand.
private final class Columns {
    let sums: UnsafeMutablePointer<Float>
    let values: [Float]
    let columns: HeadColumns

    init(head: Int = 0, heads: Int = 2, group: Int = 1, sumRows: Int = 1, tokens: Int, seed: UInt64) throws {
        var random = SplitMix(seed)
        values = (0..<sumRows * tokens).map { _ in Float.random(in: 0..<1, using: &random) }
        sums = .allocate(capacity: values.count)
        sums.initialize(from: values, count: values.count)
        let shape = try ModelShape(layers: 1, queryHeads: heads * group, heads: heads, headDim: 4)
        let keys = try Tensor(heads: heads, tokens: tokens, dim: 4).view()
        let layer = try LayerView(
            shape, layer: 0, length: nil, window: 1, needs: .keys, queries: nil, keys: keys, values: nil)
        columns = HeadColumns(layer: layer, head: head, sums: sums, sumRows: sumRows)
    }

    deinit { sums.deallocate() }
}

/// Pooled in double, terms outside left out of max, counted as zeros by mean.
private func pooled(_ values: [Float], _ pool: Pool, _ kernel: Int) -> [Double] {
    values.indices.map { j in
        let inside = values[max(0, j - kernel / 2)..<min(values.count, j + kernel / 2 + 1)].map(Double.init)
        return pool == .max ? inside.max() ?? 0 : inside.reduce(0, +) / Double(kernel)
    }
}

@Suite struct HeadColumnsTests {
    @Test func divideDividesEverySum() throws {
        let columns = try Columns(sumRows: 3, tokens: 50, seed: 1)
        columns.columns.divide(by: 7)
        let now = Array(UnsafeBufferPointer(start: columns.sums, count: 150))
        #expect(furthest(now, columns.values.map { Double($0) / 7 }) <= 2e-7)
    }

    @Test(arguments: [0, 1]) func storeCutsToTheCandidates(_ head: Int) throws {
        let columns = try Columns(head: head, tokens: 50, seed: 2)
        let frame = Frame(CacheLength(prompt: 50), sinks: 4, recent: 9)
        let scores = try makeScores(MemoryAccount(), [[Float]](repeating: [Float](repeating: -1, count: 37), count: 2))
        columns.columns.store(frame, into: scores)
        #expect(scores.copy(head) == Array(columns.values[4..<41]))
        #expect(scores.copy(1 - head) == [Float](repeating: -1, count: 37))
    }

    /// Nothing leaks in from sinks or window: they are infinite here.
    @Test(arguments: [Pool.mean, .max], [1, 3, 7, 63]) func storePoolsWhatIsCut(_ pool: Pool, _ kernel: Int) throws {
        for (sinks, recent) in [(0, 0), (4, 9), (0, 30), (49, 0), (20, 28)] {
            let columns = try Columns(head: 1, tokens: 50, seed: 3)
            let frame = Frame(CacheLength(prompt: 50), sinks: sinks, recent: recent)
            for j in 0..<50 where !frame.candidates.contains(j) { columns.sums[j] = .infinity }
            let rows = [[Float]](repeating: [Float](repeating: -1, count: frame.units), count: 2)
            let scores = try makeScores(MemoryAccount(), rows)
            columns.columns.store(frame, pooled: pool, kernel: kernel, into: scores)
            let exact = pooled(Array(columns.values[frame.candidates]), pool, kernel)
            #expect(furthest(scores.copy(1), exact) <= 4e-6, "sinks \(sinks) recent \(recent), seed 3")
            #expect(scores.copy(0) == rows[0])
        }
    }

    @Test(arguments: [Pool.mean, .max], [1, 4]) func poolScoresAreGroupMeansPooled(_ pool: Pool, _ threads: Int) throws
    {
        let attention = Attention(heads: 3, group: 4, window: 7, tokens: 500, dim: 16, seed: 4)
        let input = try attention.make()
        let frame = Frame(CacheLength(prompt: 500), sinks: 2, recent: 7)
        let work = Workspace(threads: threads)
        let scores = LayerScores(work.account)
        try WindowAttention(input.view).poolScores(frame, pool, kernel: 5, work, into: scores)
        #expect((scores.rows, scores.units) == (3, 491))
        for (head, exact) in input.exact().enumerated() {
            let cut = exact[frame.candidates].map { Float($0 / 4) }
            #expect(furthest(scores.copy(head), pooled(cut, pool, 5)) <= 1e-5, "head \(head), seed 4")
        }
    }
}

@Suite struct WindowMeansTests {
    /// The mean over all query heads of the statistic of each window, one row for the layer.
    private func check(_ frame: Frame, _ statistic: WindowStatistic, taken: (Int) -> Int, seed: UInt64) throws {
        let (heads, group) = (3, 2)
        let account = MemoryAccount()
        let rows = [[Float]](repeating: [Float](repeating: -1, count: frame.units), count: heads)
        let partial = try makeScores(account, rows)
        var exact = [Double](repeating: 0, count: frame.units)
        for head in 0..<heads {
            let columns = try Columns(
                head: head, heads: heads, group: group, sumRows: group, tokens: frame.tokens, seed: seed + UInt64(head))
            columns.columns.addWindows(frame, statistic, into: partial)
            for row in 0..<group {
                let sums = columns.values[row * frame.tokens..<(row + 1) * frame.tokens].map(Double.init)
                for unit in 0..<frame.units {
                    let largest = sums[frame.positions(ofUnit: unit)].sorted(by: >)
                    let count = min(taken(largest.count), largest.count)
                    exact[unit] += largest.prefix(count).reduce(0, +) / Double(count) / Double(heads * group)
                }
            }
        }
        let scores = LayerScores(account)
        try scores.mean(of: partial, over: heads * group)
        #expect((scores.rows, scores.units) == (1, frame.units))
        #expect(furthest(scores.copy(0), exact) <= 1e-5, "\(frame) seed \(seed)")
        #expect(scores.copy(2) == scores.copy(0), "all heads share the row")
    }

    private static let frames = [
        Frame(CacheLength(prompt: 60), sinks: 0, recent: 0, unit: 6),
        Frame(CacheLength(prompt: 61), sinks: 3, recent: 5, unit: 8),
        Frame(CacheLength(prompt: 20), sinks: 2, recent: 2, unit: 100),
        Frame(CacheLength(prompt: 20), sinks: 0, recent: 0, unit: 1),
        Frame(CacheLength(prompt: 400), sinks: 0, recent: 10, unit: 64),
    ]

    @Test(arguments: frames) func theMeanOfAWindowIsOfAllItsTokens(_ frame: Frame) throws {
        try check(frame, .mean, taken: { $0 }, seed: 10)
    }

    @Test(arguments: frames, [1, 2, 5, 8, 1000]) func theLargestOfAWindowAreAsManyAsItHas(_ frame: Frame, _ count: Int)
        throws
    {
        try check(frame, .largest(count), taken: { _ in count }, seed: 20)
    }
}

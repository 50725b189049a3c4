// How many units a share of the attention needs, and which share some rows have; against sorting and adding up.
import TestSupport
import Testing

@testable import KVSieveCore

private let frames = [
    Frame(CacheLength(prompt: 50), sinks: 0, recent: 0), Frame(CacheLength(prompt: 50), sinks: 3, recent: 7),
    Frame(CacheLength(prompt: 50), sinks: 4, recent: 5, unit: 6), Frame(CacheLength(prompt: 50), sinks: 50, recent: 0),
    Frame(CacheLength(prompt: 1), sinks: 0, recent: 0),
    Frame(cacheLength([50, 12, 33, 1]), sinks: 0, recent: 8, unit: 7),
    Frame(cacheLength([50, 12, 33, 1]), sinks: 3, recent: 2),
]

// Not in the arguments of a test, where a closure crashes the compiler of Swift 6.0.
private let framesOfOneHead = frames.filter { $0 == $0.of(1) }

@Suite struct AttentionNeedTests {
    private let work = Workspace(threads: 2)

    /// Whole numbers: their sums are exact. One in eight heads was paid nothing at all.
    private func attention(_ frame: Frame, _ head: Int, _ random: inout SplitMix) -> [Float] {
        let nothing = random.below(8) == 0
        return (0..<frame.of(head).rows).map { _ in nothing ? 0 : Float(random.below(100)) }
    }

    /// The share of a head's rows that it keeps for certain and of its best `count` units.
    private func share(_ frame: Frame, _ attention: [Float], _ order: [Int], _ count: Int) -> Double {
        var kept = Set(Array(0..<frame.sinks) + Array(frame.rows - frame.recent..<frame.rows))
        for unit in order.prefix(count) { kept.formUnion(frame.positions(ofUnit: unit)) }
        let total = attention.reduce(0.0) { $0 + Double($1) }
        return total > 0 ? kept.reduce(0.0) { $0 + Double(attention[$1]) } / total : 1
    }

    private func need(
        _ frame: Frame, _ scores: [[Float]], _ attention: [[Float]], _ least: Double, _ budgets: [Int]
    ) throws -> [Int] {
        let sums = TableMemory(work.account)
        _ = try fill(sums, attention, work)
        let ranked = try makeScores(work.account, scores, columns: .units(frame))
        let units = try work.headCounts.reserve(budgets.count)
        for (head, budget) in budgets.enumerated() { units[head] = budget }
        let need = AttentionNeed(
            frame: frame, scores: ranked, sums: sums, least: least, heads: budgets.count, units: units)
        try need.reserve(work)
        try work.forEach(ranked.rows, need)
        return budgets.indices.map { units[$0] }
    }

    @Test(arguments: frames, RowKind.allCases) func theFewestOfTheBestUnitsThatHoldTheShare(
        _ frame: Frame, _ kind: RowKind
    ) throws {
        var random = SplitMix(91)
        for _ in 0..<40 {
            let scores = (0..<4).map { kind.make(frame.of($0).units, &random) }
            let attention = (0..<4).map { self.attention(frame, $0, &random) }
            let budgets = (0..<4).map { random.below(frame.of($0).units + 1) }
            // No quotient of the sums is as near as rounding.
            let least = Double(random.below(1000)) / 1000 + 0.000_371
            let expected = (0..<4).map { head in
                let own = frame.of(head)
                let fewest = min(own.sinks + own.recent > 0 ? 0 : 1, own.units)
                let most = max(budgets[head], fewest)
                let order = stableOrder(scores[head])
                return (fewest...most).first { share(own, attention[head], order, $0) >= least } ?? most
            }
            #expect(
                try need(frame, scores, attention, least, budgets) == expected, "least \(least), \(budgets), seed 91")
        }
    }

    /// The mean of the heads' shares counts where one ranking is for all.
    @Test(arguments: framesOfOneHead) func headsWithOneRankingNeedAsMany(_ frame: Frame) throws {
        var random = SplitMix(92)
        for _ in 0..<40 {
            let scores = RowKind.allCases[random.below(RowKind.allCases.count)].make(frame.units, &random)
            let attention = (0..<3).map { self.attention(frame, $0, &random) }
            let budget = random.below(frame.units + 1)
            let least = Double(random.below(1000)) / 1000 + 0.000_371
            let fewest = min(frame.sinks + frame.recent > 0 ? 0 : 1, frame.units)
            let most = max(budget, fewest)
            let order = stableOrder(scores)
            let expected =
                (fewest...most).first { count in
                    attention.reduce(0) { $0 + share(frame, $1, order, count) } / 3 >= least
                } ?? most
            let found = try need(frame, [scores], attention, least, [budget, budget, budget])
            #expect(found == [expected, expected, expected], "least \(least), budget \(budget), seed 92")
        }
    }

    @Test func allRowsHaveTheWholeAndNothingIsTheWholeOfNothing() {
        let rows: [Int32] = [0, 1, 2, 3]
        func share(_ sums: [Float], _ count: Int) -> Double {
            sums.withUnsafeBufferPointer { sums in
                rows.withUnsafeBufferPointer { AttentionShare.of(.init(rebasing: $0.prefix(count)), from: 0, in: sums) }
            }
        }
        #expect(share([0.1, 0.7, 1e-30, 3], 4) == 1)
        #expect(share([1, 2, 3, 2], 2) == 0.375)
        #expect(share([1, 2, 3, 2], 0) == 0)
        #expect(share([0, 0, 0, 0], 2) == 1)
    }
}

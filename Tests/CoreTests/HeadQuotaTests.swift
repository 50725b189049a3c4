// The heads of a layer in one ranking, against a full stable sort over (head, position); and what a method sees of the layers.
import TestSupport
import Testing

@testable import KVSieveCore

/// Places that each row wins.
private func expected(_ rows: [[Float]], _ places: Int) -> [Int] {
    let entries = rows.enumerated().flatMap { row, numbers in numbers.map { (row, $0) } }
    var won = rows.map { _ in 0 }
    for entry in stableOrder(entries.map(\.1)).prefix(max(0, places)) { won[entries[entry].0] += 1 }
    return won
}

@Suite struct HeadQuotaTests {
    @Test(arguments: RowKind.allCases, [[30, 30, 30, 30], [30, 11, 1, 25], [40]]) func countsAreTheWinnersOfAStableSort(
        _ kind: RowKind, _ lengths: [Int]
    ) throws {
        var random = SplitMix(41)
        let work = Workspace(threads: 1)
        let frame = Frame(cacheLength(lengths), sinks: 0, recent: 0)
        for _ in 0..<5 {
            let rows = lengths.map { kind.make($0, &random) }
            let scores = try makeScores(work.account, rows, columns: .units(frame))
            let total = lengths.reduce(0, +)
            for places in Array(-1...total + 2) {
                let won = try Array(HeadQuota.counts(scores, places: places, work))
                #expect(won == expected(rows, places), "\(places) places, seed 41")
                #expect(won.reduce(0, +) == min(max(places, 0), total))
            }
        }
    }
}

@Suite struct RankedLayersTests {
    private let work = Workspace(threads: 1)

    private func ranked(_ layers: [[[Float]]?]) throws -> RankedLayers {
        RankedLayers(
            layers: try layers.map { try $0.map { try makeScores(work.account, $0) } }, work: work,
            frame: Frame(CacheLength(prompt: 9), sinks: 1, recent: 1))
    }

    @Test func theNewestIsTheLast() throws {
        let ranked = try ranked([[[1, 2]], nil, [[5, 4, 3], [9, 9, 9]]])
        #expect(ranked.newest == 2 && ranked.frame.sinks == 1)
        #expect((-1...3).map { ranked.units($0) } == [0, 2, 0, 3, 0])
        #expect(ranked.marks.isEmpty)
    }

    @Test func placesAreThoseOfAllLayersOrOfTheNewestsHeads() throws {
        let ranked = try ranked([[[7, 1], [1, 1]], nil, [[5, 4, 3], [9, 2, 8]]])
        #expect(try Array(ranked.placesOfLayers(3)) == [1, 0, 2])
        #expect(try Array(ranked.placesOfHeads(3)) == [1, 2])
        #expect(try Array(ranked.placesOfHeads(6)) == [3, 3])
        #expect(try Array(self.ranked([[[1, 2]], nil]).placesOfHeads(1)) == [])
    }

    @Test func marksAreTheNewestLayers() throws {
        let table = try makeTable([[3, 4], [0, 0]], work)
        let scores = LayerScores(work.account)
        try scores.take(table.marked(by: makeTable([[3, 4], [0, 0]], work).distancesFromMean()))
        let first = try makeScores(work.account, [[1, 1], [1, 1]])
        let frame = Frame(CacheLength(prompt: 4), sinks: 1, recent: 1)
        // The mean is (1.5, 2): both are 2.5 away.
        #expect(Array(RankedLayers(layers: [first, scores], work: work, frame: frame).marks) == [2.5, 2.5])
        #expect(RankedLayers(layers: [scores, first], work: work, frame: frame).marks.isEmpty)
    }

    /// As a stable sort says it, of any unit and number.
    @Test(arguments: RowKind.allCases) func amongTheBestOfTheFirstRanking(_ kind: RowKind) throws {
        var random = SplitMix(42)
        let row = kind.make(20, &random)
        let ranked = try ranked([[row, kind.make(20, &random)]])
        let order = stableOrder(row)
        for count in 0...21 {
            for unit in 0..<20 {
                #expect(
                    try ranked.isAmongBest(count, unit: unit) == order.prefix(count).contains(unit),
                    "\(count), unit \(unit)")
            }
        }
        #expect(try !ranked.isAmongBest(30, unit: 20))
        #expect(try !ranked.isAmongBest(30, unit: -1))
        #expect(try !self.ranked([nil]).isAmongBest(5, unit: 0))
    }
}

// What a layer keeps: sinks, the best units of each head, recent; against sets.
import TestSupport
import Testing

@testable import KVSieveCore

/// Positions that a head keeps, from a stable sort.
private func expected(_ frame: Frame, _ scores: [Float], _ units: Int) -> [Int] {
    // If nothing of a head is protected, its best unit is kept.
    let least = frame.sinks + frame.recent > 0 ? 0 : 1
    let best = stableOrder(scores).prefix(min(max(units, least), frame.units))
    let middle = best.flatMap { unit in
        (0..<frame.unit).map { frame.sinks + unit * frame.unit + $0 }.filter { $0 < frame.rows - frame.recent }
    }
    return (Array(0..<frame.sinks) + middle + Array(frame.rows - frame.recent..<frame.rows)).sorted()
}

private func positions(_ selection: Selection) -> [[Int]] { (0..<selection.heads).map { selection.copy($0) } }

private let frames = [
    Frame(CacheLength(prompt: 50), sinks: 0, recent: 0), Frame(CacheLength(prompt: 50), sinks: 3, recent: 7),
    Frame(CacheLength(prompt: 50), sinks: 4, recent: 5, unit: 6),
    Frame(CacheLength(prompt: 50), sinks: 1, recent: 1, unit: 100),
    Frame(CacheLength(prompt: 50), sinks: 0, recent: 50), Frame.whole(CacheLength(prompt: 50)),
    Frame(CacheLength(prompt: 1), sinks: 0, recent: 0), Frame(CacheLength(prompt: 50), sinks: 0, recent: 8, unit: 7),
]

@Suite struct SelectionTests {
    @Test(arguments: frames, RowKind.allCases) func eachHeadKeepsItsBestUnitsAndTheProtected(
        _ frame: Frame, _ kind: RowKind
    ) throws {
        var random = SplitMix(71)
        let work = Workspace(threads: 1)
        for _ in 0..<20 {
            let rows = (0..<5).map { _ in kind.make(frame.units, &random) }
            let units = (0..<5).map { _ in random.below(frame.units + 4) - 2 }
            let selection = try Selection(frame, makeScores(work.account, rows), units: units, work)
            let exact = (0..<5).map { expected(frame, rows[$0], units[$0]) }
            #expect(positions(selection) == exact, "units \(units), seed 71")
            #expect(selection.offsets[0] == 0)
            #expect(selection.total == exact.reduce(0) { $0 + $1.count })
            #expect(selection.longest == exact.map(\.count).max())
        }
    }

    /// Heads that kept different numbers of rows have more or fewer units, and their recent rows are their own last ones.
    @Test(arguments: RowKind.allCases, [1, 4]) func headsOfDifferentLengthsKeepTheirOwn(
        _ kind: RowKind, _ threads: Int
    ) throws {
        var random = SplitMix(74)
        let work = Workspace(threads: threads)
        for (sinks, recent, unit) in [(0, 0, 1), (3, 7, 1), (4, 5, 6), (0, 8, 7), (20, 20, 1)] {
            let frame = Frame(cacheLength([50, 12, 33, 1]), sinks: sinks, recent: recent, unit: unit)
            for _ in 0..<20 {
                let rows = (0..<4).map { kind.make(frame.of($0).units, &random) }
                let units = (0..<4).map { _ in random.below(frame.units + 4) - 2 }
                let scores = try makeScores(work.account, rows, columns: .units(frame))
                let selection = try Selection(frame, scores, units: units, work)
                #expect(
                    positions(selection) == (0..<4).map { expected(frame.of($0), rows[$0], units[$0]) },
                    "\(sinks) \(recent) \(unit), units \(units), seed 74")
            }
        }
    }

    /// Nothing is protected and the budget is 0: the best unit is kept, of several heads and of windows too.
    @Test(arguments: [1, 4]) func noHeadEndsEmpty(_ unit: Int) throws {
        let work = Workspace(threads: 1)
        let frame = Frame(CacheLength(prompt: 12), sinks: 0, recent: 0, unit: unit)
        let scores = try makeScores(
            work.account, [[1, 5, 2], [3, 1, 2]].map { $0 + [Float](repeating: 0, count: 9) })
        let selection = try Selection(frame, scores, units: [0, -3], work)
        #expect(positions(selection) == [Array(unit..<2 * unit), Array(0..<unit)])
        #expect(positions(try Selection(frame, nil, units: [0], work)) == [Array(0..<unit)], "of equals the first")
        let protected = Frame(CacheLength(prompt: 12), sinks: 0, recent: 1, unit: unit)
        #expect(positions(try Selection(protected, scores, units: [0], work)) == [[11]])
    }

    /// Rows are those of the cache, positions those of their tokens: kept ones first, then new ones.
    @Test func positionsAreWhereTheRowsCameFrom() throws {
        let work = Workspace(threads: 1)
        let prompt = Frame(CacheLength(prompt: 10), sinks: 1, recent: 2)
        let first = try Selection(
            prompt, makeScores(work.account, [[1, 9, 1, 8, 1, 1, 1], [1, 1, 1, 1, 1, 9, 1]]), units: [2, 1], work)
        #expect(positions(first) == [[0, 2, 4, 8, 9], [0, 6, 8, 9]])
        let origins = RowOrigins(kept: first, seen: 10)
        #expect((0..<8).map { origins.position(0, $0) } == [0, 2, 4, 8, 9, 10, 11, 12])
        #expect((0..<7).map { origins.position(1, $0) } == [0, 6, 8, 9, 10, 11, 12])
        // Three new tokens: 8 and 7 rows, of which the first and the last two are kept, and two more.
        let frame = Frame(
            CacheLength(seen: 13, new: 3, heads: [8, 7], ofModel: 15), sinks: 1, recent: 2)
        let scores = try makeScores(work.account, [[5, 1, 1, 1, 4], [1, 2, 3, 1]], columns: .units(frame))
        let second = try Selection(frame, scores, units: [2, 2], from: origins, work)
        #expect(positions(second) == [[0, 2, 10, 11, 12], [0, 8, 9, 11, 12]])
        #expect((0..<second.total).map { second.rows[$0] } == [0, 1, 5, 6, 7, 0, 2, 3, 5, 6])
        // And once more: origins of origins.
        let again = RowOrigins(kept: second, seen: 13)
        #expect((0..<6).map { again.position(0, $0) } == [0, 2, 10, 11, 12, 13])
    }

    @Test func headsThatShareOneRankingKeepItsTop() throws {
        let work = Workspace(threads: 1)
        let frame = Frame(CacheLength(prompt: 12), sinks: 2, recent: 2)
        let scores = try makeScores(work.account, [[1, 5, 2, 5, 9, 0, 3, 4]])
        let selection = try Selection(frame, scores, units: [1, 3, 0], work)
        #expect(positions(selection) == [[0, 1, 6, 10, 11], [0, 1, 3, 5, 6, 10, 11], [0, 1, 10, 11]])
    }

    @Test(arguments: RowKind.allCases) func whatFewerUnitsKeepIsAmongWhatMoreKeep(_ kind: RowKind) throws {
        var random = SplitMix(72)
        let work = Workspace(threads: 1)
        let frame = Frame(CacheLength(prompt: 60), sinks: 2, recent: 5, unit: 3)
        let scores = try makeScores(work.account, [kind.make(frame.units, &random)])
        var before: Set<Int> = []
        for units in 0...frame.units {
            let now = Set(try Selection(frame, scores, units: [units], work).copy(0))
            #expect(now.isSuperset(of: before) && (units == 0 || now.count > before.count), "\(units) units, seed 72")
            before = now
        }
        #expect(before == Set(0..<60))
    }

    @Test(arguments: [2, 4, 7]) func threadsGiveTheSameSelection(_ threads: Int) throws {
        var random = SplitMix(73)
        let frame = Frame(CacheLength(prompt: 400), sinks: 3, recent: 9, unit: 2)
        let rows = (0..<33).map { _ in RowKind.fewValues.make(frame.units, &random) }
        let units = rows.map { _ in random.below(frame.units) }
        let (one, many) = (Workspace(threads: 1), Workspace(threads: threads))
        let exact = positions(try Selection(frame, makeScores(one.account, rows), units: units, one))
        for _ in 0..<20 {
            #expect(positions(try Selection(frame, makeScores(many.account, rows), units: units, many)) == exact)
        }
    }

    /// Memory is reserved before anything is ranked: a refused call has changed nothing.
    @Test func aSelectionThatIsRefusedHoldsNothing() throws {
        let rows = [[Float]](repeating: [Float](repeating: 1, count: 50), count: 4)
        let needed = MemoryAccount()
        let measured = Workspace(threads: 1, account: needed)
        let whole = try makeScores(needed, rows)
        _ = try Selection(frames[0], whole, units: [50, 50, 50, 50], measured)
        for limit in stride(from: 0, to: needed.highest, by: 7) {
            let account = MemoryAccount(limit: limit)
            let work = Workspace(threads: 1, account: account)
            #expect(
                refusal { _ = try Selection(frames[0], makeScores(account, rows), units: [50, 50, 50, 50], work) }?.kind
                    == .memory, "limit \(limit)")
            let before = (work.caller.histogram.capacity + work.headCounts.capacity) * 8
            #expect(account.held == before, "limit \(limit): more than the workspace is held")
        }
        withExtendedLifetime(whole) {}
    }
}

// Ranges of protected tokens: merged, as rows of caches that were cut, and as units of a frame.
import TestSupport
import Testing

@testable import KVSieveCore

@Suite struct ProtectedTokensTests {
    private func tokens(_ ranges: [Range<Int>]) throws -> ProtectedTokens {
        var tokens = ProtectedTokens(MemoryAccount())
        for range in ranges { try tokens.add(range) }
        return tokens
    }

    private func ranges(_ rows: ProtectedRows) -> [Range<Int>] { (0..<rows.count).map(rows.positions) }

    private func prompt(_ count: Int, _ ranges: [Range<Int>]) throws -> CacheLength {
        try tokens(ranges).checked(CacheLength(prompt: count))
    }

    @Test func rangesBecomeOneWhereTheyMeet() throws {
        func merged(_ added: [Range<Int>]) throws -> [Range<Int>] { try ranges(prompt(50, added).protected) }
        #expect(try merged([]) == [])
        #expect(try merged([5..<8]) == [5..<8])
        #expect(try merged([5..<8, 1..<2]) == [1..<2, 5..<8])
        #expect(try merged([5..<8, 8..<9]) == [5..<9], "they touch")
        #expect(try merged([5..<8, 3..<5]) == [3..<8])
        #expect(try merged([5..<8, 6..<7]) == [5..<8])
        #expect(try merged([1..<2, 10..<12, 20..<30, 40..<41, 11..<25]) == [1..<2, 10..<30, 40..<41])
        #expect(try merged([1..<2, 3..<4, 5..<6, 0..<50]) == [0..<50])
    }

    /// The ranges are the runs of a set of positions, whatever the order in which they came.
    @Test func rangesAreTheUnionOfAll() throws {
        var random = SplitMix(5)
        for _ in 0..<200 {
            var list = ProtectedTokens(MemoryAccount())
            var all: Set<Int> = []
            for _ in 0..<random.below(9) {
                let first = random.below(60)
                let range = first..<(first + 1 + random.below(7))
                try list.add(range)
                all.formUnion(range)
            }
            let found = ranges(try list.checked(CacheLength(prompt: 70)).protected)
            #expect(Set(found.joined()) == all, "seed 5")
            #expect(zip(found, found.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound }, "seed 5")
        }
    }

    @Test func tokensBeyondTheLastAreRefused() throws {
        expectRefusal(.shape, "tokens up to position 9 are protected; expected at most 8, the last") {
            _ = try prompt(9, [3..<4, 7..<10])
        }
        #expect(try prompt(10, [7..<10]).protected.end == 10)
    }

    /// A list that some frame still reads is not written over, and memory that nobody reads is used again.
    @Test func aListIsNeverChanged() throws {
        let account = MemoryAccount()
        var list = ProtectedTokens(account)
        try list.add(3..<5)
        let first = try list.checked(CacheLength(prompt: 50))
        try list.add(8..<9)
        let second = try list.checked(CacheLength(prompt: 50))
        #expect(ranges(first.protected) == [3..<5] && ranges(second.protected) == [3..<5, 8..<9])
        let same = try prompt(50, [3..<5])
        #expect(first != second && first == same)
        let held = account.held
        for position in 20..<40 {
            list.clear()
            try list.add(position..<(position + 1))
        }
        #expect(account.held <= held + 16)
        #expect(ranges(first.protected) == [3..<5])
    }

    /// Out of memory: the list is as it was.
    @Test func aListThatCannotGrowStays() throws {
        let account = MemoryAccount()
        var list = ProtectedTokens(account)
        try list.add(3..<5)
        account.limit = account.held
        #expect(refusal { try list.add(10..<11) }?.kind == .memory)
        #expect(try ranges(list.checked(CacheLength(prompt: 50)).protected) == [3..<5])
    }

    /// Sinks 0, 1; units of 4: 2-5, 6-9, 10-13, 14-16; recent 17-19. Protected: 1 (a sink), 5-6, 15, 18 (recent).
    @Test func aUnitWithAProtectedTokenIsProtectedWhole() throws {
        let length = try prompt(20, [1..<2, 5..<7, 15..<16, 18..<19])
        let frame = Frame(length, sinks: 2, recent: 3, unit: 4, budget: 20)
        #expect(frame.units == 4 && frame.protectedUnits == 3 && frame.protectedRows == 11)
        #expect(frame.competing == 1 && frame.competingRows == 4 && frame.certain == 16)
        #expect(frame.unitsInBudget == 1)
        var found: [Int] = []
        frame.forEachProtected { found += Array($0) }
        #expect(found == [0, 1, 3])
        #expect(Frame(length, sinks: 2, recent: 3, unit: 1, budget: 20).protectedRows == 3)
    }

    /// Candidates 2 ... 16, of which 9, 10 and 14 are protected: the last 4 that are not are 12, 13, 15, 16.
    @Test func theTailHasSoManyOthers() throws {
        let frame = Frame(try prompt(20, [9..<11, 14..<15]), sinks: 2, recent: 3)
        #expect(frame.tail(0) == 3 && frame.tail(2) == 5)
        #expect(frame.tail(3) == 7, "13, and 14, which is protected")
        #expect(frame.tail(4) == 8)
        #expect(frame.tail(5) == 9 && frame.tail(6) == 12, "11; then 8 and what is protected behind it")
        #expect(frame.tail(12) == 18 && frame.tail(99) == 18)
        #expect(Frame(CacheLength(prompt: 20), sinks: 2, recent: 3, unit: 5).tail(2) == 13)
    }

    /// Heads that keep different rows have what is protected at different rows, and their own counts.
    @Test func rowsOfCachesThatWereCut() throws {
        let work = Workspace(threads: 1)
        // Head 0 keeps 0, 4, 5, 9; head 1 keeps 0, 1, 4, 5, 8, 9.
        let all = CacheLength(prompt: 10)
        let scores = try makeScores(
            MemoryAccount(), [[9, 0, 0, 0, 9, 9, 0, 0, 0, 9], [9, 9, 0, 0, 9, 9, 0, 0, 9, 9]],
            columns: .units(Frame(all, sinks: 0, recent: 0)))
        let kept = try Selection(Frame(all, sinks: 0, recent: 0), scores, units: [4, 6], work)
        #expect(kept.copy(0) == [0, 4, 5, 9] && kept.copy(1) == [0, 1, 4, 5, 8, 9])
        // Three new tokens 10, 11, 12. Protected: 4, 5, 9, 10 and 12.
        let grown = CacheLength(seen: 13, new: 3, heads: [7, 9], ofModel: 16)
        let list = try tokens([4..<6, 9..<11, 12..<13])
        let length = try list.checked(grown, RowOrigins(kept: kept, seen: 10))
        func rows(_ head: Int) -> [Range<Int>] { (0..<3).map(length.of(head).protected.rows) }
        #expect(rows(0) == [1..<3, 3..<5, 6..<7])
        #expect(rows(1) == [2..<4, 5..<7, 8..<9])
        // Sink: row 0. Recent: two rows, 11 and 12. The rest of head 0: 4, 5, 9, 10; of head 1: 1, 4, 5, 8, 9, 10.
        let frame = Frame(length, sinks: 1, recent: 2, budget: 8)
        #expect(frame.protectedRows == 4 && frame.of(0).competing == 0 && frame.of(1).competing == 2)
        #expect(frame.unitsInBudget == 1)
        // Recent: six rows. Head 0 has nothing else, head 1 has 1 and 4, of which 4 is protected.
        let longer = Frame(length, sinks: 1, recent: 6, budget: 9)
        #expect(longer.of(0).protectedRows == 0 && longer.of(1).protectedRows == 1 && longer.protectedRows == 1)
    }

    /// Rows that units take in any round: where they begin at multiples of themselves, and where they begin anywhere.
    @Test func theMostRowsOfUnits() throws {
        let protected = try prompt(100, [3..<5, 10..<27]).protected
        #expect(protected.mostRows(from: 0, unit: 1, aligned: true) == 19)
        #expect(protected.mostRows(from: 4, unit: 1, aligned: true) == 18)
        // Blocks of 8: 0, 1, 2, 3. From 8 on: three.
        #expect(protected.mostRows(from: 0, unit: 8, aligned: true) == 32)
        #expect(protected.mostRows(from: 8, unit: 8, aligned: true) == 24)
        // 2 tokens meet two units of 8, 17 meet three.
        #expect(protected.mostRows(from: 0, unit: 8, aligned: false) == 40)
        for count in 1...30 {
            for unit in 1...9 {
                let length = try prompt(100, [40..<(40 + count)])
                let rows = length.protected.mostRows(from: 0, unit: unit, aligned: false)
                var most = 0
                for offset in 0..<unit {
                    let (first, last) = (40 + offset, 39 + offset + count)
                    most = max(most, last / unit - first / unit + 1)
                }
                #expect(rows == most * unit, "\(count) tokens, units of \(unit)")
            }
        }
    }

    /// Places are those of the units that compete: head 0 has 9, 7, 1 and head 1 has 8, 2; a 10 is protected in each.
    @Test func whatIsProtectedWinsNoPlace() throws {
        let frame = Frame(try prompt(4, [2..<3]), sinks: 0, recent: 0)
        let scores = try makeScores(MemoryAccount(), [[9, 7, 10, 1], [8, 2, 10, 0]], columns: .units(frame))
        scores.setApartProtected()
        let work = Workspace(threads: 1)
        #expect(scores.competing == 6 && scores.units == 3)
        #expect(Array(try HeadQuota.counts(scores, places: 3, work)) == [2, 1])
        #expect(Array(try HeadQuota.counts(scores, places: 7, work)) == [3, 3])
        #expect(Array(try LayerQuota.counts([scores, scores], places: 5, work)) == [3, 2])
        #expect(Array(try LayerQuota.counts([scores, scores], places: 13, work)) == [6, 6])
        let kept = try Selection(frame, scores, units: [2, 1], work)
        #expect(kept.copy(0) == [0, 1, 2] && kept.copy(1) == [0, 2])
        let unscored = try Selection(frame, nil, units: [2, 3], work)
        #expect(unscored.copy(0) == [0, 1, 2] && unscored.copy(1) == [0, 1, 2, 3])
    }
}

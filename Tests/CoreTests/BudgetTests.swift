// C of a budget in tokens or by ratio, the frame of a method that keeps C rows, and what cannot be held.
import KVSieveMethods
import Testing

@testable import KVSieveCore

@Suite struct CoreBudgetTests {
    private let tokens = Parameter(100, "budget", 1024, 1...1e9, .whole, "C")
    private let ratio = Parameter(101, "ratio", 0, 0...1, .real, "share")
    private let block = Parameter(109, "block", 1, 1...64, .whole, "whole blocks")

    /// - Parameter byRatio: does the ratio count where nothing is set?
    private func budget(_ values: [Int32: Double], byRatio: Bool = false) throws -> Budget {
        var settings = Settings(
            byRatio ? [tokens.initially(0), ratio.initially(0.5), block] : [tokens, ratio, block])
        for (id, value) in values { try settings.set(id, value, of: "test") }
        return Budget(settings, tokens: tokens, ratio: ratio, block: block)
    }

    /// Blocks of 8, 3 sinks, 5 recent: the first block, and from the last boundary before the fifth last token on; 20 rows
    /// must fit wherever the sequence ends.
    @Test(arguments: [(37, 5), (38, 6), (39, 7), (44, 12), (45, 5)]) func blocksAreWhole(
        _ tokens: Int, _ recent: Int
    ) throws {
        let length = CacheLength(prompt: tokens)
        func frame(_ budget: Double) throws -> Frame {
            try self.budget([100: budget, 109: 8]).frame(length, sinks: 3, recent: 5) { "what must be kept" }
        }
        let found = try frame(30)
        #expect((found.sinks, found.recent, found.unit) == (8, recent, 8))
        #expect(found.candidates.count % 8 == 0)
        #expect(found.unitsInBudget == (30 - 8 - recent) / 8)
        #expect(try frame(20).unitsInBudget == 0)
        #expect(throws: KVSieveError.self) { try frame(19) }
    }

    /// Of the two the one whose default is 0 counts when it is set.
    @Test func theOneThatIsSetCounts() throws {
        let length = CacheLength(prompt: 100)
        #expect(try budget([:]).of(length) == 1024)
        #expect(try budget([100: 7]).of(length) == 7)
        #expect(try budget([100: 7, 101: 0.29]).of(length) == 29)
        #expect(try budget([:], byRatio: true).of(length) == 50)
        #expect(try budget([101: 0.29], byRatio: true).of(length) == 29)
        #expect(try budget([100: 7, 101: 0.29], byRatio: true).of(length) == 7)
        #expect(try budget([100: 7], byRatio: true).slots(length, heads: 3) == 21)
    }

    /// floor(ratio * N) of the tokens seen, and at least 1; of a model's heads together not.
    @Test func aShareIsOfTheTokensSeenAndAtLeastOne() throws {
        let length = CacheLength(seen: 100, new: 4, heads: [20, 11], ofModel: 31)
        #expect(try budget([101: 0.57]).of(length) == 57)
        #expect(try budget([101: 0.001]).of(length) == 1)
        #expect(try budget([101: 0.57]).slots(CacheLength(prompt: 300), heads: 8) == 1368)
        #expect(try budget([101: 0.001]).slots(length, heads: 8) == 0)
        #expect(try budget([100: 5]).slots(length, heads: 8) == 40)
    }

    private func frame(
        _ values: [Int32: Double], _ length: CacheLength, sinks: Int = 2, recent: Int = 3, unit: Int = 1,
        whole: Bool? = nil
    ) throws -> Frame {
        try budget(values).frame(length, sinks: sinks, recent: recent, unit: unit, whole: whole) { "what it must" }
    }

    @Test func aFrameHasTheBudgetAndWhatIsProtected() throws {
        let long = CacheLength(prompt: 100)
        #expect(try frame([100: 20], long) == Frame(long, sinks: 2, recent: 3, budget: 20))
        #expect(try frame([100: 20], long, unit: 4) == Frame(long, sinks: 2, recent: 3, unit: 4, budget: 20))
        #expect(try frame([101: 0.29], long) == Frame(long, sinks: 2, recent: 3, budget: 29))
        #expect(try frame([100: 5], long).unitsInBudget == 0)
    }

    @Test func aCacheThatTheBudgetHoldsIsWhole() throws {
        let length = CacheLength(prompt: 20)
        #expect(try frame([100: 20], length) == .whole(length))
        #expect(try frame([100: 19], length) != .whole(length))
        #expect(try frame([100: 19], length, whole: true) == .whole(length))
        #expect(try frame([100: 21], length, whole: false).units == 15)
        // By ratio one of no more rows than are protected, whatever the share.
        #expect(try frame([101: 0.01], CacheLength(prompt: 5)) == .whole(CacheLength(prompt: 5)))
    }

    @Test func aBudgetThatCannotHoldTheProtectedIsRefusedWithTheSmallest() throws {
        expectRefusal(.budget, "budget 4 cannot hold what it must; the smallest budget is 5") {
            _ = try frame([100: 4], CacheLength(prompt: 100))
        }
        // Also of a short prompt.
        expectRefusal(.budget, "budget 4 cannot hold what it must; the smallest budget is 5") {
            _ = try frame([100: 4], CacheLength(prompt: 3))
        }
        let six = CacheLength(prompt: 6)
        expectRefusal(.budget, "ratio 0.5 of 6 tokens cannot hold what it must; the smallest ratio is 0.833334") {
            _ = try frame([101: 0.5], six)
        }
        #expect(try frame([101: 0.833334], six).budget == 5)
        #expect(throws: KVSieveError.self) { try frame([101: 0.833333], six) }
    }

    /// E8: a sequence that grew to such a share keeps the protected rows alone; by tokens nothing grows.
    @Test func aSequenceThatGoesOnKeepsTheProtected() throws {
        let length = CacheLength(seen: 30, new: 2, heads: [9, 8], ofModel: 17)
        let kept = try frame([101: 0.1], length)
        #expect(kept.budget == 5 && kept.unitsInBudget == 0 && kept.units == 4)
        #expect(try frame([101: 0.2], length).unitsInBudget == 1)
        #expect(throws: KVSieveError.self) { try frame([100: 4], length) }
    }

    @Test func aPromptOfTooFewTokensIsToldHowManyItTakes() throws {
        let error = try budget([101: 0.5]).refusal(CacheLength(prompt: 3), least: 7, "seven")
        #expect(
            error.message == "ratio 0.5 of 3 tokens cannot hold seven; a prompt of 7 tokens or more can, with ratio 1")
    }
}

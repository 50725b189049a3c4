// Sinks, candidates in units, recent: together every position once.
import Testing

@testable import KVSieveCore

@Suite struct FrameTests {
    @Test func sinksUnitsAndRecentAreEveryPositionOnce() {
        for tokens in 1...24 {
            for sinks in 0...tokens + 2 {
                for recent in 0...tokens + 2 {
                    for unit in [1, 2, 3, 5, 7, 24, 100] {
                        let frame = Frame(CacheLength(prompt: tokens), sinks: sinks, recent: recent, unit: unit)
                        let middle = (0..<frame.units).map(frame.positions(ofUnit:))
                        let all =
                            Array(0..<frame.sinks) + middle.flatMap(Array.init) + Array(tokens - frame.recent..<tokens)
                        #expect(all == Array(0..<tokens), "T \(tokens) sinks \(sinks) recent \(recent) unit \(unit)")
                        #expect(middle.allSatisfy { (1...unit).contains($0.count) })
                        #expect(middle.dropLast().allSatisfy { $0.count == unit }, "only the last unit may be short")
                    }
                }
            }
        }
    }

    @Test func theLastUnitIsShort() {
        let frame = Frame(CacheLength(prompt: 20), sinks: 2, recent: 3, unit: 4)
        #expect(frame.candidates == 2..<17)
        #expect(frame.units == 4)
        #expect(frame.positions(ofUnit: 0) == 2..<6)
        #expect(frame.positions(ofUnit: 3) == 14..<17)
    }

    @Test func aUnitLargerThanTheCandidatesIsOneShortUnit() {
        let frame = Frame(CacheLength(prompt: 10), sinks: 3, recent: 3, unit: 100)
        #expect(frame.units == 1)
        #expect(frame.positions(ofUnit: 0) == 3..<7)
    }

    @Test func whenSinksAndRecentMeetNothingCompetes() {
        for (sinks, recent) in [(4, 6), (4, 7), (10, 0), (0, 10), (11, 3), (4, 100)] {
            let frame = Frame(CacheLength(prompt: 10), sinks: sinks, recent: recent)
            #expect(frame.units == 0)
            #expect(frame.candidates.isEmpty)
            #expect(frame.sinks + frame.recent == 10)
            #expect(frame.sinks == min(sinks, 10), "sinks come first")
        }
    }

    @Test func wholeKeepsAllAndNothingCompetes() {
        #expect(Frame.whole(CacheLength(prompt: 7)) == Frame(CacheLength(prompt: 7), sinks: 7, recent: 0))
        #expect(Frame.whole(CacheLength(prompt: 7)).units == 0)
    }

    /// Units that fit in the budget beside the protected rows.
    @Test func unitsInTheBudget() {
        func units(_ budget: Int, sinks: Int = 2, recent: Int = 3, unit: Int = 1) -> Int {
            Frame(CacheLength(prompt: 100), sinks: sinks, recent: recent, unit: unit, budget: budget).unitsInBudget
        }
        #expect(units(20) == 15 && units(5) == 0 && units(4) == 0 && units(0) == 0)
        #expect(units(20, unit: 4) == 3 && units(21, unit: 4) == 4 && units(1000) == 995)
        #expect(Frame(CacheLength(prompt: 100), sinks: 0, recent: 0).budget == .max)
        // What is protected of a short cache counts, not what would be of a long one.
        #expect(Frame(CacheLength(prompt: 4), sinks: 3, recent: 9, budget: 10).unitsInBudget == 6)
    }

    /// The frame of one head: the same sinks and budget, and its own last rows.
    @Test func theFrameOfOneHeadIsOfItsOwnRows() {
        let frame = Frame(cacheLength([50, 12, 33, 3]), sinks: 4, recent: 7, unit: 5, budget: 30)
        #expect(frame.of(0) == frame)
        #expect(frame.of(1).candidates == 4..<5 && frame.of(1).units == 1 && frame.of(1).budget == 30)
        #expect(
            frame.of(2).candidates == 4..<26 && frame.of(2).units == 5 && frame.of(2).positions(ofUnit: 4) == 24..<26)
        #expect(frame.of(3).sinks == 3 && frame.of(3).recent == 0 && frame.of(3).units == 0)
    }
}

import TestSupport
import Testing

// AhaKV's decisions at prefill (Sources/KVSieveMethods/README.md), each on a case worked by hand.
@testable import KVSieveCore
@testable import KVSieveMethods

@Suite struct DecisionsAhaKV {
    private let plain: [String: Double] = ["pool_kernel": 1, "gain_floor": 1, "sinks": 0]

    private func handmade(
        _ weights: [[[Double]]], window: Int = 3, values: [[[Double]]]? = nil, _ changes: [String: Double]
    ) throws -> HandmadeCache {
        try HandmadeCache("ahakv", weights, window: window, values: values, plain.merging(changes) { $1 })
    }

    /// g of the last rows of a prompt.
    private func gains(tokens: Int, rows: Int, budget: Int, floor: Double) -> [Float] {
        (0..<rows).map { Float(AhaKV.gain(seen: tokens - rows + $0 + 1, budget: budget, floor: floor)) }
    }

    private func expectGains(_ gains: [Float], _ worked: [Double], _ at: SourceLocation = #_sourceLocation) {
        #expect(gains.count == worked.count, sourceLocation: at)
        for (gain, expected) in zip(gains, worked) {
            #expect(abs(Double(gain) - expected) < 1e-6, sourceLocation: at)
        }
    }

    /// T 12, W 3, C 10: the rows have seen 10, 11 and 12 tokens. 10 is C: gain 0; then sqrt(2 ln 1.1), sqrt(2 ln 1.2).
    @Test func A1_rowsCountTheTokensSeenTheirOwnIncluded() {
        expectGains(gains(tokens: 12, rows: 3, budget: 10, floor: 0), [0, 0.436_600_9, 0.603_856_9])
        #expect(gains(tokens: 9, rows: 3, budget: 10, floor: 0) == [0, 0, 0])
    }

    /// Flat rows (gain 0) count: with all rows flat only the values decide, where the attention would have said 2.
    @Test func A1_flatRowsStillCount() throws {
        // T 11, C 10, window 1: seen 11, gain sqrt(2 ln 1.1) = 0.44: weight 2 becomes 2^0.44 = 1.35, less than the value's 4.
        let values = (0..<11).map { $0 == 5 ? 2.0 : 1 }
        let w = weights(11, [2: 2], floor: 1)
        let kept = try handmade([[w]], window: 1, values: [[values]], ["budget": 2, "gain_floor": 0]).kept()
        // C 2: gain sqrt(2 ln 5.5) = 1.85: 2^1.85 = 3.6 < 4.
        #expect(kept == [[[5, 10]]])
    }

    /// T 12, C 10: the gain is 0.60, so 2's weight of 2 counts as 1.52, less than the 1.7 of 5's value. A floor of 1 lets the
    /// attention, 2 to 1, win. 10 has next to no weight, the others have much.
    @Test func A2_theFloorKeepsRowsFromBeingFlatter() throws {
        let w = weights(12, [2: 2, 5: 1, 10: 1e-3], floor: 100)
        let values = (0..<12).map { $0 == 5 ? 1.7.squareRoot() : 1 }
        func dropped(_ floor: Double) throws -> [Int] {
            let kept = try handmade([[w]], window: 1, values: [[values]], ["budget": 10, "gain_floor": floor]).kept()
            return (0..<12).filter { !kept[0][0].contains($0) }
        }
        #expect(try dropped(0) == [2, 10])
        #expect(try dropped(1) == [5, 10])
        expectGains(gains(tokens: 12, rows: 2, budget: 10, floor: 0.5), [0.5, 0.603_856_9])
        expectGains(gains(tokens: 12, rows: 2, budget: 10, floor: 1), [1, 1])
    }

    /// Only the last W = 3 rows count, so that every candidate has W terms: what the rows before them look at (token 5, with all
    /// their weight) changes nothing, and is not read at all.
    @Test(arguments: [100, Float.nan]) func A3_theLastRowsOnly(_ before: Float) throws {
        var test = try handmade([[weights(40, [9: 5, 11: 4])]], window: 3, ["budget": 5])
        #expect(try test.kept() == [[[9, 11, 37, 38, 39]]])
        for row in 0..<37 { test.sequence.queries[0][row * 2 + 1] = before }
        test.sequence.keys[0][5 * 2 + 1] = 1
        #expect(try test.kept() == [[[9, 11, 37, 38, 39]]])
    }

    /// Two query heads of a group, one at 4 and one at 7, means 0.5 and 0.5; the values' squares 1 and 4 decide after that.
    @Test func A5_theGroupsMeanThenTheValuePrior() throws {
        var test = try HandmadeCache(
            "ahakv", one: weights(20, [4: 1], floor: 1e-6), two: weights(20, [7: 1], floor: 1e-6), window: 1,
            plain.merging(["budget": 2]) { $1 })
        for (heavy, kept) in [(7, [7, 19]), (4, [4, 19])] {
            test.sequence.values = [(0..<20).flatMap { [$0 == heavy ? 2 : 1, 0] as [Float] }]
            #expect(try test.kept() == [[kept]])
        }
    }

    /// The norm of token 17, in the window, is pooled into its neighbour 16, the last candidate: kernel 3 over all tokens.
    @Test func A6_normsArePooledOverTheTrueSequence() throws {
        let values = (0..<20).map { $0 == 17 ? 10.0 : 1 }
        let flat = weights(20, floor: 1)
        #expect(
            try handmade([[flat]], values: [[values]], ["budget": 4, "pool_kernel": 3]).kept() == [[[16, 17, 18, 19]]])
        #expect(
            try handmade([[flat]], values: [[values]], ["budget": 4, "pool_kernel": 1]).kept() == [[[0, 17, 18, 19]]])
    }

    /// Zeros beyond the ends, divided by the kernel: the first token's pooled norm is 2/3 of its neighbours'.
    @Test func A6_theEndsAreDividedByTheKernelToo() throws {
        let kept = try handmade([[weights(20, floor: 1)]], ["budget": 4, "pool_kernel": 3]).kept()
        #expect(kept == [[[1, 17, 18, 19]]])
    }

    @Test func A6_theWindowCoversHalfTheKernel() throws {
        let error = try handmade([[weights(40)]], window: 2, ["budget": 10, "pool_kernel": 7]).error()
        #expect(error?.kind == .budget && error?.message.contains("smallest window is 3") == true)
        #expect(try handmade([[weights(40)]], window: 3, ["budget": 10, "pool_kernel": 7]).error() == nil)
    }

    @Test func A6_noValuesNoPrior() throws {
        let zeros = [Double](repeating: 0, count: 20)
        let kept = try handmade([[weights(20, [9: 5])]], values: [[zeros]], ["budget": 5]).kept()
        #expect(kept == [[[0, 1, 17, 18, 19]]])
    }

    @Test func A9_sinksAreKeptAndCharged() throws {
        let w = weights(20, [9: 5, 11: 4])
        #expect(try handmade([[w]], ["budget": 5, "sinks": 0]).kept() == [[[9, 11, 17, 18, 19]]])
        #expect(try handmade([[w]], ["budget": 5, "sinks": 1]).kept() == [[[0, 9, 17, 18, 19]]])
        let error = try handmade([[w]], ["budget": 5, "sinks": 3]).error()
        #expect(error?.kind == .budget && error?.message.contains("smallest budget is 6") == true)
    }

    /// C = 10, of which 3 are recent and 2 sinks: the gain of a row that has seen 20 is sqrt(2 ln(20 / 10)) for the whole of
    /// C, not of what is left.
    @Test func A11_theWholeBudgetIsInTheGain() {
        expectGains(gains(tokens: 20, rows: 1, budget: 10, floor: 0), [1.177_410_0])
    }

    /// Kernel 3, C 3: the gain of the last row is 1.95, so a weight of 5 counts as 23. S is 1 but for 23 at token 9: pooled, 8 to
    /// 10 have 25/3 and the others 1. The squared norms are 1, but 0.1 at 9 and 2 at 10: 25/3 at 8, 2.5/3 at 9, 50/3 at 10.
    /// Products pooled afterwards, (1 + 2.3 + 2) / 3 at 9 and (2.3 + 2 + 1) / 3 at 10, would keep 9 in place of 8. Unpooled, 9
    /// has 2.3 and 10 has 2.
    @Test func A12_attentionIsPooledBeforeTheValuePrior() throws {
        let values = (0..<20).map { $0 == 9 ? 0.1.squareRoot() : $0 == 10 ? 2.0.squareRoot() : 1 }
        let w = weights(20, [9: 5], floor: 1)
        func kept(_ kernel: Double) throws -> [Int] {
            let test = try handmade(
                [[w]], window: 1, values: [[values]], ["budget": 3, "score_kernel": kernel, "gain_floor": 1])
            return try test.kept()[0][0]
        }
        #expect(try kept(3) == [8, 10, 19])
        #expect(try kept(1) == [9, 10, 19])
    }

    /// Tokens 9 and 11 have a = 5^g and b = 4.9^g, g the gain, the others 1. Means, times 3: 10 has a + b + 1, 8 and 9 have a + 2,
    /// 11 and 12 have b + 2. Largest: 8, 9 and 10 have a, 11 and 12 have b.
    @Test func A12_poolIsMeanOrMax() throws {
        let w = weights(20, [9: 5, 11: 4.9], floor: 1)
        func kept(_ pool: Double, _ budget: Double) throws -> [Int] {
            try handmade([[w]], window: 1, ["budget": budget, "score_kernel": 3, "pool": pool]).kept()[0][0]
        }
        #expect(try kept(0, 2) == [10, 19])
        #expect(try kept(0, 4) == [8, 9, 10, 19])
        #expect(try kept(1, 4) == [8, 9, 10, 19])
        #expect(try kept(1, 6) == [8, 9, 10, 11, 12, 19])
    }

    /// Zeros outside the candidates: the sink 0 and the window token 19 have the most, and are cut off before pooling, so 1 and
    /// 18 have (0 + 1 + 1) / 3, less than the others' 1.
    @Test func A12_poolingRunsOverTheCandidatesAlone() throws {
        let w = weights(20, [0: 50, 19: 50], floor: 1)
        let kept = try handmade([[w]], window: 1, ["budget": 18, "sinks": 1, "score_kernel": 3]).kept()
        #expect(kept == [[[0] + Array(2..<18) + [19]]])
    }
}

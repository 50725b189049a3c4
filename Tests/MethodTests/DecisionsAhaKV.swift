import TestSupport
import Testing

// AhaKV's decisions at prefill (Sources/KVSieveMethods/README.md), each on a case worked by hand.
@testable import KVSieveCore
@testable import KVSieveMethods

@Suite struct DecisionsAhaKV {
    private func crafted(
        _ weights: [[[Double]]], window: Int = 3, group: Int = 1, values: [[[Double]]]? = nil,
        _ changes: [String: Double]
    ) throws -> Crafted {
        let plain: [String: Double] = ["pool_kernel": 1, "gain_floor": 1, "sinks": 0]
        return try Crafted(
            "ahakv", weights, window: window, group: group, values: values, plain.merging(changes) { $1 })
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
        let kept = try crafted([[w]], window: 1, values: [[values]], ["budget": 2, "gain_floor": 0]).kept()
        // C 2: gain sqrt(2 ln 5.5) = 1.85: 2^1.85 = 3.6 < 4.
        #expect(kept == [[[5, 10]]])
    }

    /// T 12, C 10: the gain is 0.60, so 2's weight of 2 counts as 1.52, less than the 1.7 of 5's value. A floor of 1 lets the
    /// attention, 2 to 1, win. 10 has next to no weight, the others have much.
    @Test func A2_theFloorKeepsRowsFromBeingFlatter() throws {
        let w = weights(12, [2: 2, 5: 1, 10: 1e-3], floor: 100)
        let values = (0..<12).map { $0 == 5 ? 1.7.squareRoot() : 1 }
        func dropped(_ floor: Double) throws -> [Int] {
            let kept = try crafted([[w]], window: 1, values: [[values]], ["budget": 10, "gain_floor": floor]).kept()
            return (0..<12).filter { !kept[0][0].contains($0) }
        }
        #expect(try dropped(0) == [2, 10])
        #expect(try dropped(1) == [5, 10])
        expectGains(gains(tokens: 12, rows: 2, budget: 10, floor: 0.5), [0.5, 0.603_856_9])
        expectGains(gains(tokens: 12, rows: 2, budget: 10, floor: 1), [1, 1])
    }

    /// Only the last W rows count: queries before them are not handed over at all, so every candidate has W terms.
    @Test func A3_theLastRowsOnly() throws {
        let test = try crafted([[weights(40)]], window: 3, ["budget": 10])
        #expect(test.sequence.rows == 3)
        let plan = try makePlan(test.row, test.sequence.shape, test.parameters)
        let (_, k, v) = test.sequence.tensors(0)
        let many = Tensor(
            Array(repeating: 0, count: 8), heads: 1, tokens: 4, dim: 2)
        #expect(
            #expect(throws: KVSieveError.self) { try test.sequence.observeLayer(plan, 0, many, k, v) }?.kind == .shape)
    }

    /// Two query heads of a group, one at 4 and one at 7, means 0.5 and 0.5; the values' squares 1 and 4 decide after that.
    @Test func A5_theGroupsMeanThenTheValuePrior() throws {
        var test = try crafted([[weights(20)]], window: 1, ["budget": 2])
        let one = weights(20, [4: 1], floor: 1e-6)
        let two = weights(20, [7: 1], floor: 1e-6)
        test.sequence.shape = try ModelShape(layers: 1, queryHeads: 2, heads: 1, headDim: 2, scale: 1)
        test.sequence.queries = [[1, 0, 0, 1]]
        test.sequence.keys = [zip(one, two).flatMap { [Float(naturalLogarithm($0)), Float(naturalLogarithm($1))] }]
        test.sequence.values = [(0..<20).flatMap { [$0 == 7 ? 2 : 1, 0] as [Float] }]
        #expect(try test.kept() == [[[7, 19]]])
        test.sequence.values = [(0..<20).flatMap { [$0 == 4 ? 2 : 1, 0] as [Float] }]
        #expect(try test.kept() == [[[4, 19]]])
    }

    /// The norm of token 17, in the window, is pooled into its neighbour 16, the last candidate: kernel 3 over all tokens.
    @Test func A6_normsArePooledOverTheTrueSequence() throws {
        let values = (0..<20).map { $0 == 17 ? 10.0 : 1 }
        let flat = weights(20, floor: 1)
        #expect(
            try crafted([[flat]], values: [[values]], ["budget": 4, "pool_kernel": 3]).kept() == [[[16, 17, 18, 19]]])
        #expect(
            try crafted([[flat]], values: [[values]], ["budget": 4, "pool_kernel": 1]).kept() == [[[0, 17, 18, 19]]])
    }

    /// Zeros beyond the ends, divided by the kernel: the first token's pooled norm is 2/3 of its neighbours'.
    @Test func A6_theEndsAreDividedByTheKernelToo() throws {
        let kept = try crafted([[weights(20, floor: 1)]], ["budget": 4, "pool_kernel": 3]).kept()
        #expect(kept == [[[1, 17, 18, 19]]])
    }

    @Test func A6_theWindowCoversHalfTheKernel() throws {
        let error = try crafted([[weights(40)]], window: 2, ["budget": 10, "pool_kernel": 7]).error()
        #expect(error?.kind == .budget && error?.message.contains("smallest window is 3") == true)
        #expect(try crafted([[weights(40)]], window: 3, ["budget": 10, "pool_kernel": 7]).error() == nil)
    }

    @Test func A6_noValuesNoPrior() throws {
        let zeros = [Double](repeating: 0, count: 20)
        let kept = try crafted([[weights(20, [9: 5])]], values: [[zeros]], ["budget": 5]).kept()
        #expect(kept == [[[0, 1, 17, 18, 19]]])
    }

    @Test func A9_sinksAreKeptAndCharged() throws {
        let w = weights(20, [9: 5, 11: 4])
        #expect(try crafted([[w]], ["budget": 5, "sinks": 0]).kept() == [[[9, 11, 17, 18, 19]]])
        #expect(try crafted([[w]], ["budget": 5, "sinks": 1]).kept() == [[[0, 9, 17, 18, 19]]])
        let error = try crafted([[w]], ["budget": 5, "sinks": 3]).error()
        #expect(error?.kind == .budget && error?.message.contains("smallest budget is 6") == true)
    }

    /// C = 10, of which 3 are recent and 2 sinks: the gain of a row that has seen 20 is sqrt(2 ln(20 / 10)) for the whole of
    /// C, not of what is left.
    @Test func A11_theWholeBudgetIsInTheGain() {
        expectGains(gains(tokens: 20, rows: 1, budget: 10, floor: 0), [1.177_410_0])
    }
}

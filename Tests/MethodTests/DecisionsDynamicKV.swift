import KVSieveMethods
import Testing

// DynamicKV's decisions (Sources/KVSieveMethods/README.md), each on a case worked by hand. base = budget - window.
@testable import KVSieveCore

@Suite struct DecisionsDynamicKV {
    private let plain: [String: Double] = ["pool_kernel": 1, "every": 2, "cap": 10]

    private func crafted(_ weights: [[[Double]]], window: Int, _ changes: [String: Double]) throws -> Crafted {
        try Crafted("dynamickv", weights, window: window, plain.merging(changes) { $1 })
    }

    /// base 4, L 2, cap 1: a layer holds 4. Layer 0 has three peaks, layer 1 is flat: of the best 8 entries layer 0 wins 3,
    /// layer 1 the flat 5. c = (1, 2), then c_1 = 3; x = (1, 3); y = x // 0.5 = (2, 6). Layer 1 would get 6 and has 4.
    @Test func D1_noTokenTwice() throws {
        let peaks = weights(20, [3: 10, 7: 9, 11: 8], floor: 1e-6)
        let test = try crafted([[peaks], [weights(20)]], window: 2, ["budget": 6, "cap": 1])
        #expect(try test.kept() == [[[3, 7, 18, 19]], [[0, 1, 2, 3, 18, 19]]])
    }

    @Test(arguments: [3, 8, 19, 20, 21]) func D2_shortPromptsAreKeptWhole(_ tokens: Int) throws {
        let test = try crafted([[weights(tokens)], [weights(tokens)]], window: 4, ["budget": 20])
        let kept = try test.kept()
        if tokens <= 20 {
            #expect(kept.allSatisfy { $0 == [Array(0..<tokens)] })
        } else {
            #expect(kept.contains { $0[0].count < tokens })
        }
    }

    /// base 1, n 2: each layer wins one of the two places, c_i = floor(1 / 2) = 0. Even split of base L = 4 over 2 layers.
    @Test func D3_noWinnersMeansAnEvenSplit() throws {
        let peak = weights(40, [5: 100, 6: 50, 9: 25])
        let test = try crafted(Array(repeating: [peak], count: 4), window: 2, ["budget": 3])
        #expect(try test.countsWhileObserving()[1] == [2 + 2, 2 + 2])
    }

    /// base 6, L 3, first share min(60, 30) = 30, three equal layers with weights that fall.
    /// n = 2: c (3, 3), x (15, 15), divisor 30 / 18 = 1.6666666666666667, and Python has 15 // divisor = 8 (nine times the
    /// divisor, rounded up, is more than 15): y (8, 8 + 2).
    /// n = 3 (D7: three is no multiple of two): c (2, 2, 2), x (10, 10, 10), 10 // divisor = 5: y (5, 5, 5 + 3).
    @Test func D3_divisionIsPythons() throws {
        let falling = (0..<32).map { 1000.0 / Double($0 + 1) }
        let test = try crafted(Array(repeating: [falling], count: 3), window: 2, ["budget": 8])
        let counts = try test.countsWhileObserving()
        #expect(counts == [[32], [10, 12], [7, 7, 10]])
    }

    /// Without an update after the last layer it would keep its first share: 10 of 30 candidates.
    @Test func D7_anUpdateRunsAfterTheLastLayer() throws {
        let falling = (0..<32).map { 1000.0 / Double($0 + 1) }
        let test = try crafted(
            Array(repeating: [falling], count: 5), window: 2, ["budget": 3, "every": 4])
        let last = try #require(test.countsWhileObserving().last)
        #expect(last.reduce(0, +) <= 5 * 3 && last[4] < 10 + 2)
    }

    /// Two query heads of one KV head: one looks at 4 (0.9), the other at 2 (0.6) and 9 (0.4). Their mean keeps 4 and 2;
    /// with a KV head each, each keeps its own.
    @Test func D9_oneChoiceAKeyValueHead() throws {
        let one = weights(20, [4: 0.9, 7: 0.1], floor: 1e-5)
        let two = weights(20, [2: 0.6, 9: 0.4], floor: 1e-5)
        var test = try crafted([[one, two]], window: 2, ["budget": 4])
        #expect(try test.kept() == [[[4, 7, 18, 19], [2, 9, 18, 19]]])
        let shape = try ModelShape(layers: 1, queryHeads: 2, heads: 1, headDim: 2, scale: 1)
        // The first query head reads the first element of a key, the other the second.
        test.sequence.shape = shape
        test.sequence.queries = [[1, 0, 1, 0, 0, 1, 0, 1]]
        test.sequence.keys = [zip(one, two).flatMap { [Float(naturalLogarithm($0)), Float(naturalLogarithm($1))] }]
        test.sequence.values = [Array(repeating: 1, count: 40)]
        #expect(try test.kept() == [[[2, 4, 18, 19]]])
    }

    /// One peak and a kernel of five: positions 8 ... 12 are equal, the lower three stay.
    @Test func D13_plateausGoToTheLowerPosition() throws {
        let test = try crafted(
            [[weights(22, [10: 5], floor: 1e-6)]], window: 2, ["budget": 5, "pool": 1, "pool_kernel": 5])
        #expect(try test.kept() == [[[8, 9, 10, 20, 21]]])
    }

    @Test func aBudgetBelowTheWindowNamesTheSmallest() throws {
        let error = try crafted([[weights(30)]], window: 8, ["budget": 7]).error()
        #expect(error?.kind == .budget && error?.message.contains("smallest budget is 8") == true)
        #expect(try crafted([[weights(30)]], window: 8, ["budget": 8]).kept() == [[Array(22..<30)]])
    }
}

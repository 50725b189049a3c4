import KVSieveMethods
import Testing

// DynamicKV's decisions (Sources/KVSieveMethods/README.md), each on a case worked by hand. base = budget - window.
@testable import KVSieveCore

@Suite struct DecisionsDynamicKV {
    private let plain: [String: Double] = ["pool_kernel": 1, "every": 2, "cap": 10]

    private func handmade(
        _ weights: [[[Double]]], window: Int, _ changes: [String: Double]
    ) throws -> HandmadeCache {
        try HandmadeCache("dynamickv", weights, window: window, plain.merging(changes) { $1 })
    }

    /// base 4, L 2, cap 1: a layer holds 4. Layer 0 has three peaks, layer 1 is flat: of the best 8 entries layer 0 wins 3,
    /// layer 1 the flat 5. c = (1, 2), then c_1 = 3; x = (1, 3); y = x // 0.5 = (2, 6). Layer 1 would get 6 and has 4.
    @Test func D1_noTokenTwice() throws {
        let peaks = weights(20, [3: 10, 7: 9, 11: 8], floor: 1e-6)
        let test = try handmade([[peaks], [weights(20)]], window: 2, ["budget": 6, "cap": 1])
        #expect(try test.kept() == [[[3, 7, 18, 19]], [[0, 1, 2, 3, 18, 19]]])
    }

    @Test(arguments: [3, 8, 19, 20, 21]) func D2_shortPromptsAreKeptWhole(_ tokens: Int) throws {
        let test = try handmade([[weights(tokens)], [weights(tokens)]], window: 4, ["budget": 20])
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
        let test = try handmade(Array(repeating: [peak], count: 4), window: 2, ["budget": 3])
        #expect(try test.countsWhileObserving()[1] == [2 + 2, 2 + 2])
    }

    /// base 6, L 3, first share min(60, 30) = 30, three equal layers with weights that fall.
    /// n = 2: c (3, 3), x (15, 15), divisor 30 / 18 = 1.6666666666666667, and Python has 15 // divisor = 8 (nine times the
    /// divisor, rounded up, is more than 15): y (8, 8 + 2).
    /// n = 3 (D7: three is no multiple of two): c (2, 2, 2), x (10, 10, 10), 10 // divisor = 5: y (5, 5, 5 + 3).
    @Test func D3_divisionIsPythons() throws {
        let falling = (0..<32).map { 1000.0 / Double($0 + 1) }
        let test = try handmade(Array(repeating: [falling], count: 3), window: 2, ["budget": 8])
        let counts = try test.countsWhileObserving()
        #expect(counts == [[32], [10, 12], [7, 7, 10]])
    }

    /// Without an update after the last layer it would keep its first share: 10 of 30 candidates.
    @Test func D7_anUpdateRunsAfterTheLastLayer() throws {
        let falling = (0..<32).map { 1000.0 / Double($0 + 1) }
        let test = try handmade(
            Array(repeating: [falling], count: 5), window: 2, ["budget": 3, "every": 4])
        let last = try #require(test.countsWhileObserving().last)
        #expect(last.reduce(0, +) <= 5 * 3 && last[4] < 10 + 2)
    }

    /// Two query heads of one KV head: one looks at 4 (0.9), the other at 2 (0.6) and 9 (0.4). Their mean keeps 4 and 2;
    /// with a KV head each, each keeps its own.
    @Test func D9_oneChoiceAKeyValueHead() throws {
        let one = weights(20, [4: 0.9, 7: 0.1], floor: 1e-5)
        let two = weights(20, [2: 0.6, 9: 0.4], floor: 1e-5)
        #expect(
            try handmade([[one, two]], window: 2, ["budget": 4]).kept() == [[[4, 7, 18, 19], [2, 9, 18, 19]]])
        let group = try HandmadeCache(
            "dynamickv", one: one, two: two, window: 2, plain.merging(["budget": 4]) { $1 })
        #expect(try group.kept() == [[[2, 4, 18, 19]]])
    }

    /// One peak and a kernel of five: positions 8 ... 12 are equal, the lower three stay.
    @Test func D13_plateausGoToTheLowerPosition() throws {
        let test = try handmade(
            [[weights(22, [10: 5], floor: 1e-6)]], window: 2, ["budget": 5, "pool": 1, "pool_kernel": 5])
        #expect(try test.kept() == [[[8, 9, 10, 20, 21]]])
    }

    @Test func aBudgetBelowTheWindowNamesTheSmallest() throws {
        let error = try handmade([[weights(30)]], window: 8, ["budget": 7]).error()
        #expect(error?.kind == .budget && error?.message.contains("smallest budget is 8") == true)
        #expect(try handmade([[weights(30)]], window: 8, ["budget": 8]).kept() == [[Array(22..<30)]])
    }

    /// base 4, L 2, cap 2: first = 8. One division, after both layers: of the best 8 entries layer 0 has 6, layer 1 has 2.
    /// By the paper c = (6, 2), x = floor(8 c / 6) = (8, 2), y = floor(x 8 / 10) = (6, 1): a place is lost to rounding, and
    /// no layer gets it. By the code c = (3, 1), x = (6, 2), y = (6, 2).
    @Test func D14_countsAreDividedByTheirMaximumOnRequest() throws {
        let first = weights(20, [0: 9, 2: 9, 4: 9, 6: 9, 8: 9, 10: 9], floor: 1e-3)
        let second = weights(20, [1: 27, 3: 27], floor: 1e-3)
        func kept(_ normal: Double) throws -> [[[Int]]] {
            try handmade([[first], [second]], window: 2, ["budget": 6, "cap": 2, "normal": normal]).kept()
        }
        #expect(try kept(0) == [[[0, 2, 4, 6, 8, 10, 18, 19]], [[1, 3, 18, 19]]])
        #expect(try kept(1) == [[[0, 2, 4, 6, 8, 10, 18, 19]], [[1, 18, 19]]])
    }

    /// base 4, L 3, cap 1, a division after layer 1 (n = 2) and at the end. n = 2: of the best 8 entries all are layer 0's,
    /// c = (8, 0), x = floor(4 c / 8) = (4, 0), y = floor(x 12 / 4) = (12, 0): layer 0 still holds 4, layer 1 nothing but W.
    /// No correction for the last layer: n = 3, of the best 12 layer 0 has 8 and layer 2 has 4, c = (8, 0, 4),
    /// x = (4, 0, 2), y = floor(x 12 / 6) = (8, 0, 4): layer 0 keeps the 4 that it holds, layer 2 its 4.
    @Test func D14_noRemainderNoCorrectionAndNoTokenTwice() throws {
        let peaks = Dictionary(uniqueKeysWithValues: (0..<8).map { ($0 * 2, 10.0 - Double($0)) })
        let some = Dictionary(uniqueKeysWithValues: (0..<4).map { ($0 * 3, 10.0 - Double($0)) })
        let test = try handmade(
            [[weights(20, peaks, floor: 1e-5)], [weights(20, floor: 1)], [weights(20, some, floor: 1e-5)]], window: 2,
            ["budget": 6, "cap": 1, "normal": 1])
        #expect(try test.countsWhileObserving() == [[6], [6, 2], [6, 2, 6]])
        #expect(try test.kept() == [[[0, 2, 4, 6, 18, 19]], [[18, 19]], [[0, 3, 6, 9, 18, 19]]])
    }

    /// Sum x = 0: an even split of base L over the layers seen. cap 1 and base 0 hold nothing at first: nothing is left to split.
    @Test func D14_withoutAPlaceNothingIsDivided() throws {
        let test = try handmade([[weights(20)], [weights(20)]], window: 2, ["budget": 2, "cap": 1, "normal": 1])
        #expect(try test.kept() == [[[18, 19]], [[18, 19]]])
    }
}

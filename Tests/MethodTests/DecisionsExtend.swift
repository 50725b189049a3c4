import KVSieveMethods
import TestSupport
import Testing

// The decisions on sequences that go on (Sources/KVSieveMethods/README.md), each on a case worked by hand. The last token is
// kept (W is 1 if nothing else is said), so it is no candidate.
@testable import KVSieveCore

extension ExtendTests {
    /// C 4, windows of 2. Windows (0 1) (2 3) (4 5) (6), of means 1 4 1 3: 2 3 6 are kept. Cache 2 3 6 7 8 9: windows (2 3) (6 7)
    /// (8) of its rows, means 2, 3, 4, room for two. By positions they were (2 3) (6) (7) (8), of means 2, 1, 5, 4.
    @Test func E1_windowsAreOfTheCachesRows() throws {
        var sequence = try ExtendedSequence(
            "windowkv", prompt: 8, [[[1, 1, 4, 4, 1, 1, 3, 1]]], [[[9, 9, 1, 3, 9, 9, 1, 5, 4, 1]]],
            ["budget": 4, "size": 2, "shared": 1, "pyramid": 2])
        #expect(sequence.kept == [[[2, 3, 6, 7]]])
        #expect(try sequence.go(2) == [[[6, 7, 8, 9]]])
        let kept = try sequence.plan.kept(layer: 0)
        #expect((0..<4).map { kept.rows[$0] } == [2, 3, 4, 5])
    }

    /// Room for 2, kernel 3. Pooled, times 3: 10 15 11 15 11 6: 1 and 3 are kept. Cache 1 3 6 7, weights 5 1 9: pooled 6 15 10: 3
    /// and 6. In the true sequence 3 had no neighbours: 5 1 9.
    @Test func E1_poolingRunsOverTheCachesRows() throws {
        var sequence = try ExtendedSequence(
            "dynamickv", prompt: 7, [[[9, 1, 5, 5, 5, 1, 2]]], [[[1, 5, 1, 1, 2, 5, 9, 5]]],
            ["budget": 3, "pool_kernel": 3, "every": 1])
        #expect(sequence.kept == [[[1, 3, 6]]])
        #expect(try sequence.go(1) == [[[3, 6, 7]]])
    }

    /// H2O, C 3. The prompt's sums, in which 0 has by far the most, are gone. Cache 0 1 3 4 5: the row of 4 has 1 2 4 1 over 8,
    /// that of 5 1 2 4 1 8 over 16: 1 and 3 are the heaviest.
    @Test func E2_sumsAreOfTheNewRowsAlone() throws {
        var sequence = try ExtendedSequence(
            "h2o", prompt: 4, [[[4, 1, 1, 1]]], [[[1, 2, 9, 4, 1, 8]]], ["budget": 3, "recent_ratio": 0.34])
        #expect(sequence.kept == [[[0, 1, 3]]])
        #expect(try sequence.go(2) == [[[1, 3, 5]]])
    }

    /// W 3, room for 2 more. One new token has one row of queries; the last 3 rows are kept although they have the least.
    @Test(arguments: ["ahakv", "dynamickv", "windowkv"]) func E2_fewerNewTokensThanTheWindow(_ name: String) throws {
        var sequence = try ExtendedSequence(
            name, prompt: 8, [[[1, 9, 1, 9, 1, 1, 1, 1]]], [[[1, 2, 1, 4, 1, 0.01, 0.01, 0.01, 0.01, 0.01]]],
            [
                "budget": name == "windowkv" ? 2 : 5, "window": 3, "gain_floor": 1, "size": 1, "shared": 1,
                "pyramid": 2,
                "every": 1,
            ])
        #expect(sequence.kept == [[[1, 3, 5, 6, 7]]])
        #expect(try sequence.go(1) == [[[1, 3, 6, 7, 8]]])
        #expect(try sequence.go(1) == [[[1, 3, 7, 8, 9]]])
    }

    /// AhaKV, C 3. Of 995 tokens 0 (logit 1, norm 1), 2 (logit 1, norm 10) and the last are kept. 5 more, of which 995 has logit 0
    /// and norm 10. The last row has seen 1,000: gain 3.41, and e^3.41 = 30 is more than 10. For its 8 rows the gain were
    /// 1.40, and e^1.40 = 4 less.
    @Test func E3_theGainCountsTokensSeen() throws {
        let e = 2.718_281_828_459_045
        var weights = [Double](repeating: 0.5, count: 1000)
        var values = [Double](repeating: 1, count: 1000)
        for (token, weight) in [0: e, 2: e, 995: 1] { weights[token] = weight }
        for token in [2, 995] { values[token] = 10.0.squareRoot() }
        var sequence = try ExtendedSequence(
            "ahakv", prompt: 995, [[weights]], [[weights]], values: [[values]], ["budget": 3])
        #expect(sequence.kept == [[[0, 2, 994]]])
        #expect(try sequence.go(5) == [[[0, 2, 999]]])
    }

    /// Task-KV, one head, f = 0, ratio 1/2, one recent token. N 8: B 4. Then N 12: B 6, of 8 rows; half of these were 4.
    @Test func E3_theShareIsOfTokensSeen() throws {
        var sequence = try ExtendedSequence(
            "taskkv", prompt: 8, [[[1, 4, 3, 1, 2, 1, 1, 1]]], [[[9, 6, 5, 9, 4, 9, 9, 1, 3, 2, 1, 1]]],
            ["ratio": 0.5, "beta": 0, "top": 0, "sinks": 0, "recent": 1, "semantic": 1])
        #expect(sequence.kept == [[[1, 2, 4, 7]]])
        #expect(try sequence.go(4) == [[[1, 2, 4, 8, 9, 11]]])
    }

    /// Short is told by the tokens seen too: W is 6, and the cache of 5 rows for 9 tokens is cut to B = 4.
    @Test func E3_aCacheOfFewRowsIsNotShort() throws {
        var sequence = try ExtendedSequence(
            "taskkv", prompt: 8, [[[1, 4, 3, 1, 2, 1, 1, 1]]], [[[9, 1, 3, 9, 4, 9, 9, 2, 1]]],
            ["ratio": 0.5, "beta": 0, "top": 0, "sinks": 0, "recent": 1, "semantic": 1, "window": 6])
        #expect(sequence.kept == [[[1, 2, 4, 7]]])
        #expect(try sequence.go(1) == [[[2, 4, 7, 8]]])
    }

    /// L 2, base 4, cap 2. P 8 and 8: 8 held, places 6 and 2: c 3 1, x 6 2, y 6 2: 7 and 3 rows. Two more: 9 and 5 rows, P 8 and
    /// 4, held 8 and 4. Places 4 and 4: c 2 2, x 4 4 of the larger 8, y 4 4: 5 and 5 rows.
    @Test func E4_eachLayerHasItsOwnCandidates() throws {
        var sequence = try ExtendedSequence(
            "dynamickv", prompt: 9, [[[9, 9, 9, 9, 9, 9, 1, 1, 1]], [[1, 1, 1, 1, 1, 1, 30, 30, 1]]],
            [[[8, 8, 8, 8, 1, 1, 1, 1, 1, 1, 1]], [[1, 1, 1, 1, 1, 1, 9, 9, 9, 9, 1]]],
            ["budget": 5, "every": 2, "cap": 2])
        #expect(sequence.kept == [[[0, 1, 2, 3, 4, 5, 8]], [[6, 7, 8]]])
        #expect(try sequence.go(2) == [[[0, 1, 2, 3, 10]], [[6, 7, 8, 9, 10]]])
    }

    /// cap 1.5: 6 held; all 8 places are layer 0's: c 4 0, x 6 0, y 8 0, of which it holds 6: 7 rows and 1. With one more there
    /// are 8 and 2, as many as L C = 10 may be: all stay, though layer 0 has more than C. With two 9 and 3: places 6 and 2,
    /// c 3 1, x 4 1, y 6 1 and the rest, 1: 7 and 3 rows.
    @Test(arguments: [1, 2]) func E4_everythingIsKeptWhileAllLayersTogetherMay(_ new: Int) throws {
        let later: [Double] = [8, 8, 8, 8, 1, 1, 1, 1, 1, 8, 1]
        var sequence = try ExtendedSequence(
            "dynamickv", prompt: 9, [[[9, 9, 9, 9, 9, 9, 9, 9, 1]], [[1, 1, 1, 1, 1, 1, 1, 1, 1]]],
            [[Array(later.prefix(9 + new))], [[Double](repeating: 1, count: 9 + new)]],
            ["budget": 5, "every": 2, "cap": 1.5])
        #expect(sequence.kept == [[[0, 1, 2, 3, 4, 5, 8]], [[8]]])
        let whole = [[[0, 1, 2, 3, 4, 5, 8, 9]], [[8, 9]]]
        #expect(try sequence.go(new) == (new == 1 ? whole : [[[0, 1, 2, 3, 4, 9, 10]], [[8, 9, 10]]]))
    }

    /// L 3, base 4, cap 2, a division after two layers and at the end. Rows 4, 4 and 7 and three more: P 6 6 9, held 6 6 8.
    /// After two: places 3 and 5, c 1 2, x of the larger that is known, 6: 2 4, ratio 6/12, y 4 8. (Of layer 2's 8: x 2 5, ratio
    /// 7/12, y 3.) At the end: places 6 5 1, c 2 1 1, x 4 2 2, y 6 3 3: 4 (which it still has), 3 and 3.
    @Test func E4_theLargestOfTheLayersSeenScales() throws {
        // Each layer's weights make 100: layers are compared.
        func full(_ named: [Int: Double], _ last: Int) -> [Double] {
            var weights = (0...last).map { named[$0] ?? 0.1 }
            weights[last] = 100 - weights.dropLast().reduce(0, +)
            return weights
        }
        func head(_ tokens: ClosedRange<Int>, _ weight: Double, _ others: [Int: Double] = [:]) -> [Int: Double] {
            Dictionary(uniqueKeysWithValues: tokens.map { ($0, weight) }).merging(others) { $1 }
        }
        let first = [full(head(0...2, 9), 10), full(head(0...2, 9, [3: 2, 4: 2]), 10), full(head(0...5, 5), 10)]
        // What is not in a layer's cache has no weight at all, and the last makes up for it.
        func later(_ named: [Int: Double], _ there: [Int]) -> [Double] {
            var weights = (0...13).map { there.contains($0) ? named[$0] ?? 0.1 : 0.1 }
            weights[13] = 100 - there.reduce(0) { $0 + weights[$1] }
            return weights
        }
        let few = [0, 1, 2, 10, 11, 12]
        let second = [
            later(head(0...2, 9, [10: 3, 11: 3, 12: 3]), few), later(head(0...2, 6, [10: 6, 11: 6]), few),
            later([4: 5], [0, 1, 2, 3, 4, 5, 10, 11, 12]),
        ]
        var sequence = try ExtendedSequence(
            "dynamickv", prompt: 11, first.map { [$0] }, second.map { [$0] }, ["budget": 5, "every": 2, "cap": 2])
        #expect(sequence.kept == [[[0, 1, 2, 10]], [[0, 1, 2, 10]], [[0, 1, 2, 3, 4, 5, 10]]])
        #expect(try sequence.go(3) == [[[0, 1, 2, 10, 13]], [[0, 1, 2, 13]], [[0, 1, 4, 13]]])
    }

    /// Task-KV, three heads, one keeps everything (floor(3 * 0.34)), t 1, ratio 0.67. N 6: B 12, k = 2. Head 2 is far by the value of 0, and full;
    /// the others keep the best, 0 and 2. N 9: B 18, k = 3. Now head 0 is far by the value of 8: it keeps the 6 rows that it
    /// has, not 9, and the others have 4, no more than k had been with a head of 9: 14 of B.
    @Test func E5_headsAreChosenAnewAndKeepWhatTheyHave() throws {
        let first = [Double](arrayLiteral: 4, 1, 2, 1, 1, 1)
        var values = [[Double]](repeating: Array(repeating: 1, count: 9), count: 3)
        (values[2][0], values[0][8]) = (5, 9)
        var sequence = try ExtendedSequence(
            "taskkv", prompt: 6, [[first, first, first]], [Array(repeating: [1, 1, 2, 9, 1, 3, 4, 5, 20], count: 3)],
            values: [values],
            ["ratio": 0.67, "beta": 0.34, "top": 0, "sinks": 0, "recent": 1, "semantic": 1])
        #expect(sequence.kept == [[[0, 2, 5], [0, 2, 5], [0, 1, 2, 3, 4, 5]]])
        #expect(try sequence.go(3) == [[[0, 2, 5, 6, 7, 8], [5, 6, 7, 8], [3, 6, 7, 8]]])
    }

    /// AhaKV, C 4, kernel 3, all weights 1. Norms 12 0 0 9 6 0, pooled times 3: 12 12 9 15 15: 3, 4 and, of two alike, 0. Then 9
    /// 9: cache 0 3 4 5 6 7, pooled 21 27 15 15 18: 0, 3 and 6. Over the true sequence, 12 15 15 15 18, it were 3, 4 and 6.
    @Test func E6_normsArePooledOverTheRowsThatAreThere() throws {
        let values = [12, 0, 0, 9, 6, 0, 9, 9].map { Double($0).squareRoot() }
        var sequence = try ExtendedSequence(
            "ahakv", prompt: 6, [[[1, 1, 1, 1, 1, 1]]], [[[1, 1, 1, 1, 1, 1, 1, 1]]], values: [[values]],
            ["budget": 4, "pool_kernel": 3])
        #expect(sequence.kept == [[[0, 3, 4, 5]]])
        #expect(try sequence.go(2) == [[[0, 3, 6, 7]]])
    }

    @Test(arguments: AnyMethod.decoders) func E7_aPlanThatDecodesIsNotExtended(_ method: AnyMethod) throws {
        let sequence = try ExtendedSequence(
            method.name, prompt: 4, [[[4, 1, 1, 1]]], [[[1, 1, 1, 1, 1]]],
            ["budget": 3, "decoding": 1, "sinks": 1])
        let error = thrown { try sequence.plan.extend(1) }
        #expect(error?.kind == .state && error?.message.contains("step") == true)
        #expect(try positions(sequence.plan) == sequence.kept)
    }

    /// Ratio 1/2, one first and two last tokens, W 1. N 3 is short; N 4 has B 2, too little for the three: a prompt is refused, a
    /// sequence keeps them. N 7: B 3, these alone. N 9: B 4, and the best of the others, 6.
    @Test func E8_aSequenceThatOutgrowsItsBudgetKeepsTheProtected() throws {
        let settings: [String: Double] = ["ratio": 0.5, "beta": 0, "top": 0, "sinks": 1, "recent": 2, "semantic": 1]
        let weights = [[[Double]]](repeating: [[1, 1, 1, 9, 1, 1, 5, 1, 1]], count: 2)
        #expect(throws: KVSieveError.self) { try ExtendedSequence("taskkv", prompt: 4, weights, weights, settings) }
        var sequence = try ExtendedSequence("taskkv", prompt: 3, weights, weights, settings)
        #expect(sequence.kept[1] == [[0, 1, 2]])
        #expect(try sequence.go(1) == [[[0, 2, 3]], [[0, 2, 3]]])
        #expect(try sequence.go(3) == [[[0, 5, 6]], [[0, 5, 6]]])
        #expect(try sequence.go(2) == [[[0, 6, 7, 8]], [[0, 6, 7, 8]]])
    }
}

import Testing

// WindowKV's decisions (Sources/KVSieveMethods/README.md), each on a case worked by hand.
@testable import KVSieveCore
@testable import KVSieveMethods

@Suite struct DecisionsWindowKV {
    private func crafted(
        _ weights: [[[Double]]], window: Int = 2, group: Int = 1, _ changes: [String: Double]
    ) throws -> Crafted {
        let plain: [String: Double] = ["size": 4, "shared": 1, "pyramid": 2]
        return try Crafted("windowkv", weights, window: window, group: group, plain.merging(changes) { $1 })
    }

    /// Window 1 (4 ... 7) has one peak of 8: mean 2, two largest (8 + 0) / 2 = 4. Window 3 (12 ... 15) has 3 everywhere:
    /// mean 3, largest 3. Localization takes the mean, aggregation the largest half.
    @Test func W1_meanForLocalizationLargestHalfForAggregation() throws {
        let w = weights(18, [4: 8, 12: 3, 13: 3, 14: 3, 15: 3], floor: 1e-4)
        #expect(try crafted([[w]], ["budget": 4, "task": 0]).kept() == [[Array(12..<18)]])
        #expect(try crafted([[w]], ["budget": 4, "task": 1]).kept() == [[[4, 5, 6, 7, 16, 17]]])
    }

    @Test func W2_budgetsAreThoseOfTheCode() {
        #expect(WindowKV.schedule(budget: 2048, shared: 8, pyramid: 14, layers: 32) == [2926, 2341, 1756, 1170])
        #expect(WindowKV.schedule(budget: 512, shared: 8, pyramid: 14, layers: 32) == [732, 586, 440, 292])
        #expect(WindowKV.schedule(budget: 2048, shared: 7, pyramid: 14, layers: 28) == [3072, 2390, 1708, 1024])
    }

    @Test func W3_anInvertedPyramidIsRefused() throws {
        let shape = try ModelShape(layers: 4, queryHeads: 1, heads: 1, headDim: 2)
        for (shared, pyramid, refused) in [(15.0, 14.0, true), (14, 14, false), (3, 2.5, true), (2, 2.5, false)] {
            let plan = try makePlan(method("windowkv"), shape, ["shared": shared, "pyramid": pyramid])
            let needs = { () throws -> Needs in try plan.needs(layer: 0) }
            if refused {
                let error = #expect(throws: KVSieveError.self) { _ = try needs() }
                #expect(error?.kind == .parameter && error?.message.contains("shared") == true)
            } else {
                #expect(try needs() == [.queries, .keys])
            }
        }
    }

    /// C 8, W 2, windows of 4, one layer of 18 tokens: n = 16, uncharged drop ceil(8 / 4) = 2 keeps two windows and W;
    /// charged, B = 6 and drop ceil(10 / 4) = 3 keeps one.
    @Test func W4_theWindowIsChargedOnlyOnRequest() throws {
        let w = weights(18, [1: 9, 9: 5])
        #expect(try crafted([[w]], ["budget": 8, "charge": 0]).kept()[0][0].count == 10)
        #expect(try crafted([[w]], ["budget": 8, "charge": 1]).kept()[0][0].count == 6)
        #expect(try crafted([[w]], ["budget": 1, "charge": 1]).error()?.kind == .budget)
        #expect(try crafted([[w]], ["budget": 1, "charge": 0]).error() == nil)
    }

    /// Four layers in two groups, C 5: top = 5 * 2 / 4 = 2, bottom 8. Group 1 has B = 2, less than a window of 4: n = 16,
    /// drop ceil(14 / 4) = 4 of 4. Its leader keeps only W, and so does its follower; the first group's windows do not leak.
    @Test func W5_emptyLeaderEmptiesFollowers() throws {
        let w = weights(18, [1: 9, 9: 5])
        let kept = try crafted(
            Array(repeating: [w], count: 4), ["budget": 5, "shared": 2, "pyramid": 4]
        ).kept()
        #expect(
            kept == [
                [[0, 1, 2, 3, 8, 9, 10, 11, 16, 17]], [[0, 1, 2, 3, 8, 9, 10, 11, 16, 17]], [[16, 17]], [[16, 17]],
            ])
    }

    @Test func W7_theTaskIsOneForASequence() throws {
        let test = try crafted([[weights(18)], [weights(18)]], ["budget": 4])
        let plan = try makePlan(test.row, test.sequence.shape, test.parameters)
        let (q, k, v) = test.sequence.tensors(0)
        try test.sequence.observeLayer(plan, 0, q, k, v)
        #expect(#expect(throws: KVSieveError.self) { try plan.set(WindowKV.task.id, 1) }?.kind == .state)
    }

    @Test func W8_oneGroupIsUniformAndTheLastMayBeShort() {
        #expect(WindowKV.schedule(budget: 100, shared: 8, pyramid: 14, layers: 8) == [100])
        #expect(WindowKV.schedule(budget: 100, shared: 8, pyramid: 14, layers: 3) == [100])
        // ceil(5 / 2) = 3 groups: top 100 * 2 / 4 = 50, bottom 150, step 50.
        #expect(WindowKV.schedule(budget: 100, shared: 2, pyramid: 4, layers: 5) == [150, 100, 50])
    }

    /// Two query heads. Windows of two tokens, the larger of each counts. In windows 0 and 1 they look at different tokens, 6
    /// and 1; in window 2 both at the same, 3.4. Own sums give 6 + 1 = 7, 7 and 6.8; of the heads' mean the larger token
    /// would give 3, 3 and 3.4, and window 2 would win. One KV head of two query heads or two of one: the same windows.
    @Test func W9_everyQueryHeadHasItsOwnSums() throws {
        let first = weights(8, [0: 6, 2: 1, 4: 3.4], floor: 1e-6)
        let second = weights(8, [1: 1, 3: 6, 4: 3.4], floor: 1e-6)
        let parameters: [String: Double] = ["budget": 4, "size": 2, "task": 1]
        var test = try crafted([[first, second]], parameters)
        let apart = try test.kept()
        #expect(apart == [[[0, 1, 2, 3, 6, 7], [0, 1, 2, 3, 6, 7]]])
        test.sequence.shape = try ModelShape(layers: 1, queryHeads: 2, heads: 1, headDim: 2, scale: 1)
        test.sequence.queries = [[1, 0, 1, 0, 0, 1, 0, 1]]
        test.sequence.keys = [
            zip(first, second).flatMap { [Float(naturalLogarithm($0)), Float(naturalLogarithm($1))] }
        ]
        test.sequence.values = [Array(repeating: 1, count: 16)]
        #expect(try test.kept() == [[apart[0][0]]])
    }

    @Test func W12_positionsAscendWhateverTheScores() throws {
        let w = weights(18, [13: 9, 1: 5, 9: 7])
        #expect(try crafted([[w]], ["budget": 12]).kept() == [[[0, 1, 2, 3] + Array(8..<18)]])
    }

    @Test func followersReadNoTensor() throws {
        let test = try crafted(
            Array(repeating: [weights(18, [5: 4])], count: 5), ["budget": 4, "shared": 2, "pyramid": 4])
        let plan = try makePlan(test.row, test.sequence.shape, test.parameters)
        #expect(try (0..<5).map { try plan.needs(layer: $0).rawValue } == [3, 0, 3, 0, 3])
    }
}

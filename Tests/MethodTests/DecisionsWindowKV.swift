import Testing

// WindowKV's decisions (Sources/KVSieveMethods/README.md), each on a case worked by hand.
@testable import KVSieveCore
@testable import KVSieveMethods

@Suite struct DecisionsWindowKV {
    private let plain: [String: Double] = ["size": 4, "shared": 1, "pyramid": 2]

    private func handmade(
        _ weights: [[[Double]]], window: Int = 2, _ changes: [String: Double]
    ) throws -> HandmadeCache {
        try HandmadeCache("windowkv", weights, window: window, plain.merging(changes) { $1 })
    }

    /// B of each group as published.
    private func schedule(budget: Int, shared: Int, pyramid: Double, layers: Int) -> [Int] {
        (0..<(layers + shared - 1) / shared).map {
            WindowKV.published($0, budget: budget, shared: shared, pyramid: DecimalShare(pyramid), layers: layers)
        }
    }

    /// Window 1 (4 ... 7) has one peak of 8: mean 2, two largest (8 + 0) / 2 = 4. Window 3 (12 ... 15) has 3 everywhere:
    /// mean 3, largest 3. Localization takes the mean, aggregation the largest half.
    @Test func W1_meanForLocalizationLargestHalfForAggregation() throws {
        let w = weights(18, [4: 8, 12: 3, 13: 3, 14: 3, 15: 3], floor: 1e-4)
        #expect(try handmade([[w]], ["budget": 4, "task": 0]).kept() == [[Array(12..<18)]])
        #expect(try handmade([[w]], ["budget": 4, "task": 1]).kept() == [[[4, 5, 6, 7, 16, 17]]])
    }

    @Test func W2_budgetsAreThoseOfTheCode() {
        #expect(schedule(budget: 2048, shared: 8, pyramid: 14, layers: 32) == [2926, 2341, 1756, 1170])
        #expect(schedule(budget: 512, shared: 8, pyramid: 14, layers: 32) == [732, 586, 440, 292])
        #expect(schedule(budget: 2048, shared: 7, pyramid: 14, layers: 28) == [3072, 2390, 1708, 1024])
    }

    @Test func W3_anInvertedPyramidIsRefused() throws {
        let shape = try ModelShape(layers: 4, queryHeads: 1, heads: 1, headDim: 2)
        for (shared, pyramid, refused) in [(15.0, 14.0, true), (14, 14, false), (3, 2.5, true), (2, 2.5, false)] {
            let plan = try AnyMethod.named("windowkv").plan(shape, ["shared": shared, "pyramid": pyramid])
            let needs = { () throws -> Needs in try plan.needs(layer: 0) }
            if refused {
                let error = thrown { _ = try needs() }
                #expect(error?.kind == .parameter && error?.message.contains("shared") == true)
            } else {
                #expect(try needs() == [.queries, .keys])
            }
        }
    }

    /// Four layers in two groups, C 5: top = 5 * 2 / 4 = 2, bottom 8. Group 1 has B = 2, less than a window of 4: n = 16,
    /// drop ceil(14 / 4) = 4 of 4. Its leader keeps only W, and so does its follower; the first group's windows do not leak.
    @Test func W5_emptyLeaderEmptiesFollowers() throws {
        let w = weights(18, [1: 9, 9: 5])
        let kept = try handmade(
            Array(repeating: [w], count: 4), ["budget": 5, "shared": 2, "pyramid": 4]
        ).kept()
        #expect(
            kept == [
                [[0, 1, 2, 3, 8, 9, 10, 11, 16, 17]], [[0, 1, 2, 3, 8, 9, 10, 11, 16, 17]], [[16, 17]], [[16, 17]],
            ])
    }

    @Test func W7_theTaskIsOneForASequence() throws {
        let test = try handmade([[weights(18)], [weights(18)]], ["budget": 4])
        let plan = try test.plan()
        try test.sequence.observe(plan, layer: 0)
        #expect(errorKind { try plan.set(WindowKV.task.id, 1) } == .state)
    }

    @Test func W8_oneGroupIsUniformAndTheLastMayBeShort() {
        #expect(schedule(budget: 100, shared: 8, pyramid: 14, layers: 8) == [100])
        #expect(schedule(budget: 100, shared: 8, pyramid: 14, layers: 3) == [100])
        // ceil(5 / 2) = 3 groups: top 100 * 2 / 4 = 50, bottom 150, step 50.
        #expect(schedule(budget: 100, shared: 2, pyramid: 4, layers: 5) == [150, 100, 50])
    }

    /// Two query heads. Windows of two tokens, the larger of each counts. In windows 0 and 1 they look at different tokens, 6
    /// and 1; in window 2 both at the same, 3.4. Own sums give 6 + 1 = 7, 7 and 6.8; of the heads' mean the larger token
    /// would give 3, 3 and 3.4, and window 2 would win. One KV head of two query heads or two of one: the same windows.
    @Test func W9_everyQueryHeadHasItsOwnSums() throws {
        let first = weights(8, [0: 6, 2: 1, 4: 3.4], floor: 1e-6)
        let second = weights(8, [1: 1, 3: 6, 4: 3.4], floor: 1e-6)
        let parameters: [String: Double] = ["budget": 4, "size": 2, "task": 1]
        let apart = try handmade([[first, second]], parameters).kept()
        #expect(apart == [[[0, 1, 2, 3, 6, 7], [0, 1, 2, 3, 6, 7]]])
        let group = try HandmadeCache(
            "windowkv", one: first, two: second, window: 2, plain.merging(parameters) { $1 })
        #expect(try group.kept() == [[apart[0][0]]])
    }

    @Test func W12_positionsAscendWhateverTheScores() throws {
        let w = weights(18, [13: 9, 1: 5, 9: 7])
        #expect(try handmade([[w]], ["budget": 12]).kept() == [[[0, 1, 2, 3] + Array(8..<18)]])
    }

    @Test func followersReadNoTensor() throws {
        let test = try handmade(
            Array(repeating: [weights(18, [5: 4])], count: 5), ["budget": 4, "shared": 2, "pyramid": 4])
        let plan = try test.plan()
        #expect(try (0..<5).map { try plan.needs(layer: $0).rawValue } == [3, 0, 3, 0, 3])
    }
}

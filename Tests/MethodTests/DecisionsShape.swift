// The decisions on share, even and block (Sources/KVSieveMethods/README.md), each on a case worked by hand.
import TestSupport
import Testing

@testable import KVSieveCore

@Suite struct DecisionsShape {
    private func snapKV(_ weights: [[[Double]]], _ changes: [String: Double]) throws -> HandmadeCache {
        let plain: [String: Double] = ["pool_kernel": 1, "budget": 4]
        return try HandmadeCache("snapkv", weights, window: 2, plain.merging(changes) { $1 })
    }

    /// Head 0 looks 8/18, 6/18 and 4/18 at tokens 1, 2 and 5, head 1 looks 9/16, 6/16 and 1/16 at 3, 5 and 7. Their means: 0.299
    /// at 5, 0.281 at 3, 0.222 at 1, 0.167 at 2, 0.031 at 7. In the other layer both look 9/14 at 7 and 5/14 at 1: the means over the
    /// layers are 0.337 at 7, 0.290 at 1, 0.149 at 5, 0.141 at 3.
    @Test func S1_aSharedChoiceRanksMeans() throws {
        let first = [weights(12, [1: 8, 2: 6, 5: 4], floor: 1e-4), weights(12, [3: 9, 5: 6, 7: 1], floor: 1e-4)]
        let second = Array(repeating: weights(12, [7: 9, 1: 5], floor: 1e-4), count: 2)
        #expect(
            try snapKV([first, second], [:]).kept()
                == [[[1, 2, 10, 11], [3, 5, 10, 11]], [[1, 7, 10, 11], [1, 7, 10, 11]]])
        #expect(
            try snapKV([first, second], ["share": 1]).kept()
                == [[[3, 5, 10, 11], [3, 5, 10, 11]], [[1, 7, 10, 11], [1, 7, 10, 11]]])
        #expect(
            try snapKV([first, second], ["share": 2]).kept()
                == Array(repeating: [[1, 7, 10, 11], [1, 7, 10, 11]], count: 2))
    }

    @Test(arguments: ["pyramidkv", "dynamickv"]) func S2_evenBudgetsChooseAsSnapKV(_ name: String) throws {
        let sequence = Sequence(try ModelShape(layers: 4, queryHeads: 4, heads: 2, headDim: 8), tokens: 150, seed: 41)
        let plain: [String: Double] = ["budget": 40, "window": 8, "pool_kernel": 5]
        let expected = try sequence.kept(.named("snapkv"), plain)
        #expect(try sequence.kept(.named(name), plain) != expected)
        #expect(try sequence.kept(.named(name), plain.merging(["even": 1]) { $1 }) == expected)
    }

    /// 18 tokens, W 2, windows of 4: the fourth window, 12 ... 15, is whole. With 19 tokens the fifth would be token 16 alone.
    @Test func S2_aShortLastWindowIsKeptForCertain() throws {
        func kept(_ tokens: Int) throws -> [[Int]] {
            let weights = weights(tokens, [1: 9])
            let parameters: [String: Double] = ["size": 4, "shared": 1, "pyramid": 2, "budget": 4, "even": 1]
            return try HandmadeCache("windowkv", [[weights], [weights]], window: 2, parameters).kept().map { $0[0] }
        }
        #expect(try kept(18) == Array(repeating: [0, 1, 2, 3, 16, 17], count: 2))
        #expect(try kept(19) == Array(repeating: [0, 1, 2, 3, 16, 17, 18], count: 2))
    }

    /// 17 tokens in blocks of 4, W 2: the last rows begin where a block does, at 12. Of C 10 five are left: one block. Block 0 has
    /// a peak of 9, in the mean 2.25; block 1 has 3 everywhere.
    @Test func S3_blocksAreRankedByTheirMeans() throws {
        let weights = weights(17, [1: 9, 4: 3, 5: 3, 6: 3, 7: 3], floor: 1e-4)
        #expect(try snapKV([[weights]], ["budget": 10, "block": 4]).kept() == [[[4, 5, 6, 7] + Array(12..<17)]])
        #expect(try snapKV([[weights]], ["budget": 13, "block": 4]).kept() == [[Array(0..<8) + Array(12..<17)]])
    }

    /// W 2 may meet five rows of blocks of 4 in a later round.
    @Test func S3_theBudgetHoldsWhatALaterRoundMayNeed() throws {
        let weights = weights(17, [1: 9])
        #expect(try snapKV([[weights]], ["budget": 4, "block": 4]).error()?.kind == .budget)
        #expect(try snapKV([[weights]], ["budget": 5, "block": 4]).error() == nil)
    }
}

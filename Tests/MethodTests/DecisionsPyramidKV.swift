import TestSupport
import Testing

// PyramidKV's decisions (Sources/KVSieveMethods/README.md), each on a case worked by hand. base = budget - window = 8.
@testable import KVSieveCore

@Suite struct DecisionsPyramidKV {
    /// Tokens that each layer's only head keeps of a prompt, without the window.
    private func counts(_ layers: Int, tokens: Int, _ changes: [String: Double]) throws -> [Int] {
        let plain: [String: Double] = ["budget": 10, "pool_kernel": 1]
        let cache = try HandmadeCache(
            "pyramidkv", Array(repeating: [weights(tokens, [4: 9, 2: 8])], count: layers), window: 2,
            plain.merging(changes) { $1 })
        let kept = try cache.kept()
        for heads in kept where heads[0].count > 3 {
            #expect(Set(heads[0]).isSuperset(of: [2, 4, tokens - 2, tokens - 1]))
        }
        return kept.map { $0[0].count - 2 }
    }

    /// beta 4: min = 2, max = 14, step = 12 / 2 = 6.
    @Test func lowerLayersKeepMore() throws {
        #expect(try counts(3, tokens: 30, ["beta": 4]) == [14, 8, 2])
    }

    /// Six layers: step = floor(12 / 5) = 2, and the layers keep 54 in place of 48. The mean exceeds the base by 1, less than
    /// (L - 1) / 2.
    @Test func P1_theStepIsRoundedDownAsPublished() throws {
        #expect(try counts(6, tokens: 30, ["beta": 4]) == [14, 12, 10, 8, 6, 4])
    }

    /// For any numbers of layers and steepness: no more than (L - 1) / 2 above C in the mean, and never below.
    @Test func P1_theMeanExceedsTheBudgetByLessThanHalfTheLayers() throws {
        let seed: UInt64 = 6
        var random = SplitMix(seed)
        for draw in 0..<60 {
            let layers = 2 + random.below(9)
            let kept = try counts(
                layers, tokens: 16 + random.below(30), ["beta": 1 + Double(random.below(100)) / 10])
            let (sum, base) = (kept.reduce(0, +), 8 * layers)
            #expect(sum >= base && 2 * (sum - base) < layers * (layers - 1), "seed \(seed), draw \(draw)")
        }
    }

    /// beta 20: min = 0, max = 16. A prompt of 17 tokens has 15 candidates: max = 15, min = 16 - 15 = 1, step 7.
    @Test func theLowestLayerKeepsNoMoreThanThereIs() throws {
        #expect(try counts(3, tokens: 17, ["beta": 20]) == [15, 8, 1])
        #expect(try counts(3, tokens: 18, ["beta": 20]) == [16, 8, 0])
    }

    /// Fewer than 2 base = 16 tokens: the base everywhere. One layer: the base.
    @Test func shortPromptsAndSingleLayersHaveTheBase() throws {
        #expect(try counts(3, tokens: 15, ["beta": 4]) == [8, 8, 8])
        #expect(try counts(3, tokens: 16, ["beta": 4]) == [14, 8, 2])
        #expect(try counts(1, tokens: 30, ["beta": 4]) == [8])
        #expect(try counts(3, tokens: 10, ["beta": 4]) == [8, 8, 8], "whole")
    }

    private func sequence(prompt: Int, total: Int) throws -> ExtendedSequence {
        let w = [[weights(total, floor: 1)], [weights(total, floor: 1)], [weights(total, floor: 1)]]
        return try ExtendedSequence("pyramidkv", prompt: prompt, w, w, ["budget": 10, "window": 2, "beta": 4])
    }

    /// Layers have 16, 10 and 4 rows of a prompt of 30 tokens, and with four more 20, 14 and 8. 34 tokens were seen: the same
    /// schedule. By its 8 rows the last layer would have the base, 8, and keep all of them.
    @Test func E9_theScheduleCountsTheTokensSeen() throws {
        var sequence = try sequence(prompt: 30, total: 34)
        #expect(sequence.kept.map { $0[0].count } == [16, 10, 4])
        #expect(try sequence.go(4).map { $0[0].count } == [16, 10, 4])
    }

    /// Nine tokens of three layers, and then ten, are no more than L C: whole. Eleven are: the base and W.
    @Test func E4_everythingIsKeptWhileAllLayersTogetherMay() throws {
        var sequence = try sequence(prompt: 9, total: 11)
        #expect(try sequence.go(1).map { $0[0].count } == [10, 10, 10])
        #expect(try sequence.go(1).map { $0[0].count } == [10, 10, 10])
        #expect(sequence.kept[0][0].last == 10)
    }
}

// What SnapKV, Ada-KV, TOVA, KeyDiff and StreamingLLM keep of a prompt, on cases worked by hand.
import KVSieveMethods
import TestSupport
import Testing

@testable import KVSieveCore

@Suite struct ChoicesByHand {
    /// The last W = 3 rows look at 9 and 11, the rows before them at 5. Pooled by 3: 8 to 10 and 10 to 12, so that 10 is best.
    @Test func snapKV_keepsTheBestOfTheLastRows() throws {
        var test = try HandmadeCache(
            "snapkv", [[weights(40, [9: 5, 11: 4])]], window: 3, ["budget": 5, "pool_kernel": 1])
        for row in 0..<37 { test.sequence.queries[0][row * 2 + 1] = 100 }
        test.sequence.keys[0][5 * 2 + 1] = 1
        #expect(try test.kept() == [[[9, 11, 37, 38, 39]]])
        let pooled = try HandmadeCache(
            "snapkv", [[weights(40, [9: 5, 11: 4])]], window: 3, ["budget": 4, "pool_kernel": 3])
        #expect(try pooled.kept() == [[[10, 37, 38, 39]]])
    }

    /// Twenty tokens, W 1, base 4: the best 8 of both heads' candidates. Each head's weights make 100, the last token what is
    /// missing. Head 0 has `first` tokens of weight 5, head 1 has 8 - first.
    private func adaKV(_ first: Int, floor: Double) throws -> [Int] {
        func head(_ heavy: Int) -> [Double] {
            var weights = (0..<20).map { $0 < heavy ? 5 + Double($0) / 100 : 0.01 }
            weights[19] = 100 - weights.dropLast().reduce(0, +)
            return weights
        }
        let test = try HandmadeCache(
            "adakv", [[head(first), head(8 - first)]], window: 1, ["budget": 5, "pool_kernel": 1, "floor": floor])
        let kept = try test.kept()[0]
        for (heavy, rows) in zip([first, 8 - first], kept) {
            // The heavier of the heavy, then the lighter ones from the first on; and the last token.
            let order = Array((0..<heavy).reversed()) + Array(heavy..<19)
            #expect(rows == order.prefix(rows.count - 1).sorted() + [19])
        }
        return kept.map { $0.count - 1 }
    }

    /// b = c (1 - floor) + floor(4 floor). c = (5, 3). floor 0: 5, 3. 0.2: 4 + 0, 2.4 + 0. 1: 4, 4.
    @Test func adaKV_headsHaveWhatTheyWonAndAFloor() throws {
        #expect(try adaKV(5, floor: 0) == [5, 3])
        #expect(try adaKV(5, floor: 0.2) == [4, 2])
        #expect(try adaKV(5, floor: 1) == [4, 4])
    }

    /// floor 0.5: halves are rounded to even. 5 / 2 + 2 = 4.5 is 4, 3 / 2 + 2 = 3.5 is 4; 7 / 2 + 2 = 5.5 is 6, 1 / 2 + 2 is 2.
    @Test func adaKV_halvesAreRoundedToEven() throws {
        #expect(try adaKV(5, floor: 0.5) == [4, 4])
        #expect(try adaKV(7, floor: 0.5) == [6, 2])
    }

    /// All alike: the places go to the lower head, and there to the lower positions.
    @Test func adaKV_equalsGoToTheLowerHead() throws {
        let flat = weights(20, floor: 1)
        let test = try HandmadeCache("adakv", [[flat, flat]], window: 1, ["budget": 5, "pool_kernel": 1, "floor": 0])
        #expect(try test.kept() == [[Array(0..<8) + [19], [19]]])
    }

    /// The newest query of head 0 looks at 3, that of head 1 at 7 and 11: means 0.45, 0.3 and 0.2. One choice for both heads.
    /// What the rows before look at (5) does not count.
    @Test func tova_keepsOneChoiceForAllHeadsOfALayer() throws {
        func full(_ named: [Int: Double]) -> [Double] {
            var all = weights(20, named, floor: 1e-6)
            all[19] = 1 - named.values.reduce(0, +)
            return all
        }
        var test = try HandmadeCache("tova", [[full([3: 0.9]), full([7: 0.6, 11: 0.39])]], ["budget": 3])
        #expect(try test.kept() == [[[3, 7, 19], [3, 7, 19]]])
        for head in 0..<2 {
            for row in 0..<19 { test.sequence.queries[0][(head * 20 + row) * 2 + 1] = 50 }
            test.sequence.keys[0][(head * 20 + 5) * 2 + 1] = 1
        }
        #expect(try test.kept() == [[[3, 7, 19], [3, 7, 19]]])
    }

    private func keyDiff(_ keys: [(Double, Double)], _ changes: [String: Double]) throws -> [Int] {
        let shape = try ModelShape(layers: 1, queryHeads: 1, heads: 1, headDim: 2)
        var sequence = Sequence(shape, tokens: keys.count)
        sequence.keys = [keys.flatMap { [Float($0.0), Float($0.1)] }]
        // Neither is read.
        sequence.queries = [Array(repeating: .nan, count: 2 * keys.count)]
        sequence.values = sequence.queries
        let plain: [String: Double] = ["recent": 1, "budget": 3]
        return try sequence.kept(.named("keydiff"), plain.merging(changes) { $1 })[0][0]
    }

    /// Eight keys point to (1, 0), token 3 to (0, 1), token 6 to (-1, 0), a hundred times as long. Directions add up to (7, 1):
    /// token 6 points away, token 3 aside. Their sum as they are, (-92, 1), points where token 6 does: the others would stay.
    @Test func keyDiff_keepsKeysUnlikeTheMeanDirection() throws {
        var keys = [(Double, Double)](repeating: (1, 0), count: 10)
        (keys[3], keys[6]) = ((0, 1), (-100, 0))
        #expect(try keyDiff(keys, [:]) == [3, 6, 9])
        #expect(try keyDiff(keys, ["budget": 2]) == [6, 9])
        #expect(try keyDiff(keys, ["budget": 3, "recent": 3]) == [7, 8, 9])
        #expect(try keyDiff(keys, ["budget": 10]) == Array(0..<10))
        #expect(thrown { _ = try keyDiff(keys, ["budget": 2, "recent": 3]) }?.message.hasSuffix("is 3") == true)
    }

    /// A zero key has cosine 0, which is less than that of a key like the others, and adds nothing to the mean.
    @Test func keyDiff_zeroKeysPointNowhere() throws {
        var keys = [(Double, Double)](repeating: (2, 0), count: 10)
        keys[4] = (0, 0)
        #expect(try keyDiff(keys, ["budget": 2]) == [4, 9])
        keys[7] = (-1, 0)
        #expect(try keyDiff(keys, ["budget": 3]) == [4, 7, 9])
    }

    /// As many point one way as the other: a = 0, all cosines are 0, and of equals the first stay. So too if all keys are 0.
    @Test func keyDiff_withoutAMeanAllAreEqual() throws {
        let keys = (0..<10).map { ($0 % 2 == 0 ? 1.0 : -1, 0.0) }
        #expect(try keyDiff(keys, [:]) == [0, 1, 9])
        #expect(try keyDiff(Array(repeating: (0, 0), count: 10), ["recent": 0]) == [0, 1, 2])
    }

    /// Two of each head's nine tokens are sinks, C - 2 = 3 the most recent.
    @Test func streamingLLM_keepsTheFirstAndTheRecent() throws {
        let flat = weights(9, floor: 1)
        func made(_ budget: Double) throws -> HandmadeCache {
            try HandmadeCache("streamingllm", [[flat, flat]], ["budget": budget, "sinks": 2])
        }
        #expect(try made(5).kept() == [[[0, 1, 6, 7, 8], [0, 1, 6, 7, 8]]])
        #expect(try made(9).kept()[0][0] == Array(0..<9))
        #expect(try made(3).kept()[0][0] == [0, 1, 8])
        #expect(try made(2).error()?.message.hasSuffix("the smallest budget is 3") == true)
    }

    /// Of no tensor is there anything but the shape of the keys.
    @Test(arguments: ["streamingllm", "random"]) func methodsThatReadNothingNeedTheLengthAlone(_ name: String) throws {
        let shape = try ModelShape(layers: 3, queryHeads: 4, heads: 2, headDim: 8)
        let plan = try AnyMethod.named(name).plan(shape, ["budget": 50])
        for layer in 0..<3 {
            #expect(try plan.needs(layer: layer) == .length)
            try plan.observe(layer: layer) { (needs) throws(KVSieveError) in
                try LayerTensors(shape: TensorShape("keys", heads: 2, tokens: 1000))
            }
        }
        try plan.finish()
        #expect(try positions(plan).joined().allSatisfy { $0.count == 50 && $0.last == 999 })
        try plan.extend(7)
        for (tokens, refused) in [(56, true), (58, true), (57, false)] {
            let kind = errorKind {
                try plan.observe(layer: 0) { (_) throws(KVSieveError) in
                    try LayerTensors(shape: TensorShape("keys", heads: 2, tokens: tokens))
                }
            }
            #expect(kind == (refused ? .shape : nil))
        }
    }
}

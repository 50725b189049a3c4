// Which slot is freed while a sequence is decoded, on cases worked by hand: one layer, and rows of weights for the slots. "3 leaves":
// the token of position 3 is evicted.
import KVSieveMethods
import TestSupport
import Testing

@testable import KVSieveCore

private struct DecodedByHand {
    let plan: Plan
    private let heads: Int

    /// A prompt of so many tokens, all alike.
    init(_ name: String, heads: Int = 1, prompt: Int, _ parameters: [String: Double]) throws {
        self.heads = heads
        let flat = Array(repeating: weights(prompt, floor: 1), count: heads)
        let cache = try HandmadeCache(name, [flat], parameters.merging(["decoding": 1]) { $1 })
        plan = try cache.plan()
        try cache.sequence.observe(plan)
        try plan.finish()
    }

    /// One token: [head] of the weights that its query gives the slots, then itself. The slot that it takes over.
    func step(_ rows: [[Double]]) throws -> [Int] {
        let count = rows[0].count
        let logits = Tensor(
            rows.joined().map { Float(naturalLogarithm($0)) }, heads: heads, tokens: 1, dim: count)
        let values = Tensor(
            (0..<heads * count).flatMap { _ in [1, 0] as [Float] }, heads: heads, tokens: count, dim: 2)
        var evict = [Int32](repeating: -7, count: heads)
        try evict.withUnsafeMutableBufferPointer { out in
            guard let start = out.baseAddress else { return }
            try plan.step(layer: 0, slot: start, logits: logits, values)
        }
        return evict.map(Int.init)
    }

    func slots(_ head: Int = 0) throws -> [Int] {
        try plan.slots(layer: 0, head: head).positions.map { Int($0) }
    }
}

@Suite struct DecisionsDecoding {
    /// C 6, r 1, all values alike; positions 0 ... 5 in the slots. Up to 9 tokens the gain is 1.
    private func ahakv(_ changes: [String: Double]) throws -> DecodedByHand {
        let plain: [String: Double] = [
            "budget": 6, "window": 1, "pool_kernel": 1, "gain_floor": 1, "score_kernel": 3,
        ]
        return try DecodedByHand("ahakv", prompt: 6, plain.merging(changes) { $1 })
    }

    /// Token 6 gives 2 4 1 2 2 2 and 3 to itself. Pooled, times 3: 6 7 7 5 6 7: 3 leaves; unpooled it were 2.
    /// Token 7 gives 0 1 2 4 5 6, which are in slots 0 1 2 4 5 3, the weights 4 3 3 5 2 1, and 4 to itself. 3 is no neighbour
    /// any more: 7 10 6 7 8 7, and 2 leaves. Divided by those that are there, 6 were lowest, (2 + 1 + 4) / 3 against 6 / 2; by
    /// the slots beside it 2 would have 7.
    @Test func A12_scoresArePooledOverLivingSlotsNearAPosition() throws {
        let decoded = try ahakv([:])
        #expect(try decoded.step([[2, 4, 1, 2, 2, 2, 3]]) == [3])
        #expect(try decoded.slots() == [0, 1, 2, 6, 4, 5])
        #expect(try decoded.step([[4, 3, 3, 1, 5, 2, 4]]) == [2])
        #expect(try decoded.slots() == [0, 1, 7, 6, 4, 5])
        #expect(try ahakv(["score_kernel": 1]).step([[2, 4, 1, 2, 2, 2, 3]]) == [2])
    }

    /// The largest of 2 4 1 2 2 2 3 near each: 4 4 4 2 2 3. Of 3 and 4, which are equal, the later leaves.
    @Test func A12_theLargestWhereThePoolIsMax() throws {
        #expect(try ahakv(["pool": 1]).step([[2, 4, 1, 2, 2, 2, 3]]) == [4])
    }

    /// A rejected token does not change the order of the slots: the next tokens of the first case have the same results.
    @Test func A12_trimRestoresTheOrder() throws {
        let decoded = try ahakv([:])
        for rejected in [[1, 1, 4, 5, 6, 7, 2], [9, 9, 9, 4, 1, 1, 1], [9, 1, 1, 1, 9, 9, 9]] as [[Double]] {
            _ = try decoded.step([rejected])
            try decoded.plan.trim(1)
            #expect(try decoded.slots() == [0, 1, 2, 3, 4, 5])
        }
        #expect(try decoded.step([[2, 4, 1, 2, 2, 2, 3]]) == [3])
        for rejected in [[1, 1, 4, 5, 6, 7, 2], [9, 9, 9, 4, 1, 1, 1], [9, 1, 1, 1, 9, 9, 9]] as [[Double]] {
            _ = try decoded.step([rejected])
            try decoded.plan.trim(1)
            #expect(try decoded.slots() == [0, 1, 2, 6, 4, 5])
        }
        #expect(try decoded.step([[4, 3, 3, 1, 5, 2, 4]]) == [2])
    }

    /// Before the budget is full a slot is only added: 0 1 2 3 of a budget of 6, and then 4 and 5.
    @Test func A12_theOrderGrowsWithTheSlots() throws {
        let plain: [String: Double] = [
            "budget": 6, "window": 1, "pool_kernel": 1, "gain_floor": 1, "score_kernel": 3,
        ]
        let decoded = try DecodedByHand("ahakv", prompt: 4, plain)
        #expect(try decoded.step([[1, 1, 1, 1, 1]]) == [-1])
        #expect(try decoded.step([[1, 1, 1, 1, 1, 1]]) == [-1])
        #expect(try decoded.step([[2, 4, 1, 2, 2, 2, 3]]) == [3])
    }

    /// C 3. A recent_ratio of 0.2 is 0.6 tokens: no new token would ever be kept. 0.333334 is one.
    @Test func H4_aBudgetThatTakesInNoNewTokenIsRefused() throws {
        func made(_ ratio: Double) throws -> DecodedByHand {
            try DecodedByHand("h2o", prompt: 5, ["budget": 3, "recent_ratio": ratio])
        }
        let error = thrown { _ = try made(0.2) }
        #expect(error?.kind == .budget)
        #expect(error?.message.hasSuffix("the smallest recent_ratio is 0.333334") == true)
        #expect(error?.message.hasPrefix("recent_ratio 0.2 ") == true)
        #expect(try made(0.333334).slots().count == 3)
        #expect(errorKind { _ = try made(0.333333) } == .budget)
        // Without decoding the newest token is kept (H1).
        let prefill = try HandmadeCache("h2o", [[weights(5)]], ["budget": 3, "recent_ratio": 0.2])
        #expect(try prefill.kept()[0][0].count == 3)
    }

    /// C 3, two heads. Token 3 gives 1 5 2 and 6 1 2 of 12 each: means 0.29 0.25 0.17, and 2 leaves, in both heads. Token 4 gives
    /// 0 and 3 the same, 2 of 24, and 1 more: of equals the later leaves, 3, which is in slot 2.
    @Test func tova_theSameSlotLeavesInEveryHead() throws {
        let decoded = try DecodedByHand("tova", heads: 2, prompt: 3, ["budget": 3])
        #expect(try decoded.step([[1, 5, 2, 4], [6, 1, 2, 3]]) == [2, 2])
        #expect(try decoded.step([[1, 2, 1, 8], [1, 4, 1, 6]]) == [2, 2])
        #expect(try decoded.slots(0) == [0, 1, 4] && decoded.slots(1) == [0, 1, 4])
    }

    /// Only the newest row counts, and the newest token is never evicted, though it has the least.
    @Test func tova_theNewestRowDecides() throws {
        let decoded = try DecodedByHand("tova", prompt: 3, ["budget": 3])
        #expect(try decoded.step([[9, 1, 9, 0.1]]) == [1])
        #expect(try decoded.step([[1, 9, 9, 0.1]]) == [0])
        #expect(try decoded.slots() == [4, 3, 2])
    }

    /// C 5, two sinks. Of nine tokens 0 1 6 7 8 are kept; then 6, 7, 8 and 9 leave one after another, whatever the weights.
    @Test func streamingLLM_theOldestOutsideTheSinksLeaves() throws {
        let decoded = try DecodedByHand("streamingllm", prompt: 9, ["budget": 5, "sinks": 2])
        #expect(try decoded.slots() == [0, 1, 6, 7, 8])
        for slot in [2, 3, 4, 2] { #expect(try decoded.step([[1, 1, 1, 9, 9, 1]]) == [slot]) }
        #expect(try decoded.slots() == [0, 1, 12, 10, 11])
        try decoded.plan.trim(1)
        #expect(try decoded.slots() == [0, 1, 9, 10, 11])
    }

    /// A prompt shorter than the sinks: new tokens are sinks until there are as many. Three at once, without any
    /// tensor.
    @Test func streamingLLM_sinksArePositionsAndNoTensorIsRead() throws {
        let decoded = try DecodedByHand("streamingllm", prompt: 1, ["budget": 6, "sinks": 3])
        let shape = decoded.plan.shape
        func step(_ tokens: Int) throws -> [Int] {
            var evict = [Int32](repeating: -7, count: tokens)
            try evict.withUnsafeMutableBufferPointer { out in
                guard let start = out.baseAddress else { return }
                try decoded.plan.step(layer: 0, slot: start) { (needs, living) throws(KVSieveError) in
                    #expect(needs == .length)
                    let keys = try TensorShape("keys", heads: 1, tokens: living + tokens)
                    return try StepInput(shape, layer: 0, keys: keys, living: living)
                }
            }
            return evict.map(Int.init)
        }
        #expect(try step(3) == [-1, -1, -1])
        #expect(try step(3) == [-1, -1, 3])
        #expect(try decoded.slots() == [0, 1, 2, 6, 4, 5])
        #expect(try step(3) == [4, 5, 3])
        #expect(try decoded.slots() == [0, 1, 2, 9, 7, 8])
        #expect(errorKind { _ = try step(4) } == .shape)
        try decoded.plan.trim(2)
        #expect(try decoded.slots() == [0, 1, 2, 6, 7, 5])
    }
}

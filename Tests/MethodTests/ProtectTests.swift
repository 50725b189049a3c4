// Tokens that the caller protects: cases worked by hand, and what holds for every method. The rules for all methods and shapes, as
// a second program, are in Tests/Shapes.
import KVSieveMethods
import TestSupport
import Testing

@testable import KVSieveCore

@Suite struct ProtectTests {
    /// Budget 5, W 3: 9 and 11 would be kept; with 4 protected, only the better of them has room.
    @Test func snapKV_whatIsProtectedCountsAgainstTheBudget() throws {
        let test = try HandmadeCache(
            "snapkv", [[weights(40, [9: 5, 11: 4])]], window: 3, ["budget": 5, "pool_kernel": 1])
        func kept(_ protect: [Range<Int>]) throws -> [Int] {
            try test.sequence.kept(test.method, test.parameters, protect: protect)[0][0]
        }
        #expect(try kept([]) == [9, 11, 37, 38, 39])
        #expect(try kept([4..<5]) == [4, 9, 37, 38, 39])
        #expect(try kept([9..<10]) == [9, 11, 37, 38, 39], "it would have been kept")
        #expect(try kept([4..<5, 20..<21]) == [4, 20, 37, 38, 39])
        #expect(try kept([4..<5, 4..<6]) == [4, 5, 37, 38, 39], "a union")
        expectBudget(test, [4..<6, 20..<21], "the smallest budget is 6")
        // 38 is recent today, and not in a later round.
        expectBudget(test, [4..<6, 38..<39], "the smallest budget is 6")
    }

    private func expectBudget(_ test: HandmadeCache, _ protect: [Range<Int>], _ words: String) {
        let error = thrown { _ = try test.sequence.kept(test.method, test.parameters, protect: protect) }
        #expect(error?.kind == .budget && error?.message.contains(words) == true, "\(error?.message ?? "none")")
        #expect(error?.message.contains("and 3 protected tokens") == true, "\(error?.message ?? "none")")
    }

    /// 30 tokens, the last of them recent, too: a later round would have 31. By a ratio the short prompt is kept whole.
    @Test func taskKV_aShortPromptsBudgetMustHoldWhatIsProtected() throws {
        let test = try HandmadeCache(
            "taskkv", [[weights(30)]], window: 8, ["budget": 5, "ratio": 0, "sinks": 0, "recent": 1, "pool_kernel": 1])
        func kept(_ changes: [String: Double]) throws -> [Int] {
            try test.sequence.kept(test.method, test.parameters.merging(changes) { $1 }, protect: [0..<30])[0][0]
        }
        let error = thrown { _ = try kept([:]) }
        #expect(error?.message.contains("the smallest budget is 31") == true, "\(error?.message ?? "none")")
        #expect(try kept(["budget": 31]) == Array(0..<30))
        #expect(try kept(["budget": 0, "ratio": 0.5]) == Array(0..<30))
    }

    /// By a ratio what is protected and recent counts once: 4, 5 and 37 ... 39 of 40 tokens are an eighth.
    @Test func aShareHoldsATokenOnce() throws {
        let test = try HandmadeCache("snapkv", [[weights(40, [9: 5])]], window: 3, ["ratio": 0.125, "pool_kernel": 1])
        func kept(_ protect: [Range<Int>]) throws -> [Int] {
            try test.sequence.kept(test.method, test.parameters, protect: protect)[0][0]
        }
        #expect(try kept([4..<6, 38..<40]) == [4, 5, 37, 38, 39])
        #expect(try kept([4..<5, 38..<40]) == [4, 9, 37, 38, 39])
        let error = thrown { _ = try kept([4..<7]) }
        #expect(error?.message.contains("the smallest ratio is 0.15") == true, "\(error?.message ?? "none")")
    }

    /// Blocks of 4: 0-3 and 20-23 for the tokens 3 and 20; the newest 36-39; one more of the budget of 19: 8-11.
    @Test func aBlockWithAProtectedTokenIsProtectedWhole() throws {
        let test = try HandmadeCache(
            "snapkv", [[weights(40, [9: 5, 13: 4])]], window: 1, ["budget": 19, "pool_kernel": 1, "block": 4])
        let kept = try test.sequence.kept(test.method, test.parameters, protect: [3..<4, 20..<21])[0][0]
        #expect(kept == Array(0..<4) + Array(8..<12) + Array(20..<24) + Array(36..<40))
    }

    /// Sinks 0 and 1, ten tokens: 5 is protected, so 13 ... 19 are the tail; of 16 protected it is in the tail: 12 ... 19.
    @Test func streamingLLM_theTailIsAsLongAsThereIsRoom() throws {
        let test = try HandmadeCache("streamingllm", [[weights(20)]], ["budget": 10, "sinks": 2])
        func kept(_ protect: [Range<Int>]) throws -> [Int] {
            try test.sequence.kept(test.method, test.parameters, protect: protect)[0][0]
        }
        #expect(try kept([5..<6]) == [0, 1, 5] + Array(13..<20))
        #expect(try kept([16..<17]) == [0, 1] + Array(12..<20))
        #expect(try kept([0..<1]) == [0, 1] + Array(12..<20), "a sink")
        #expect(try kept([11..<13]) == [0, 1, 11, 12] + Array(14..<20))
    }

    /// W 1, budget 5, floor 0: the heads have 8 places, less one protected token each: the best 6, of which head 0 has 4.
    @Test func adaKV_headsCompeteForWhatIsLeft() throws {
        let one = weights(20, [1: 5, 2: 6, 3: 7, 4: 8, 7: 20], floor: 0.01)
        let two = weights(20, [1: 4, 2: 3, 3: 1, 7: 20], floor: 0.01)
        let test = try HandmadeCache("adakv", [[one, two]], window: 1, ["budget": 5, "pool_kernel": 1, "floor": 0])
        let kept = try test.sequence.kept(test.method, test.parameters, protect: [7..<8])[0]
        #expect(kept == [[1, 2, 3, 4, 7, 19], [1, 2, 7, 19]])
    }

    /// A sequence that goes on: what was protected stays, and new tokens may be protected before they are observed.
    @Test(arguments: AnyMethod.all) func itStaysInLaterRounds(_ method: AnyMethod) throws {
        var sequence = try ExtendedSequence(
            method, ["budget": 40, "ratio": 0, "recent": 8, "window": 4, "sinks": 2, "charge": 1], total: 200)
        try sequence.plan.protect(first: 20, count: 3)
        let first = try sequence.go(80)
        #expect(first.joined().allSatisfy { Set($0).isSuperset(of: 20..<23) })
        #expect(first.joined().contains { $0.count < 80 })
        try sequence.extend(50)
        #expect(errorKind { try sequence.plan.protect(first: 79, count: 2) } == .shape, "an earlier token")
        #expect(errorKind { try sequence.plan.protect(first: 129, count: 2) } == .shape, "after the last")
        try sequence.plan.protect(first: 100, count: 2)
        for layer in first.indices { try sequence.observe(layer) }
        try sequence.finish()
        for count in [1, 30] {
            let kept = try sequence.go(count)
            #expect(kept.joined().allSatisfy { Set($0).isSuperset(of: [20, 21, 22, 100, 101]) })
        }
        sequence.plan.reset()
        sequence.forget()
        #expect(try sequence.go(80) != first, "reset forgets it")
    }

    /// Six slots: sink 0, protected 3 and 4, three others. The oldest of these leaves: 1, 2, 5, 6; then 7 and 8 for a step of two,
    /// which is taken back.
    @Test func streamingLLM_whileDecoding() throws {
        let decoder = Decoder(method: try .named("streamingllm"), changes: ["sinks": 1])
        var decoded = try DecodedSequence(decoder, budget: 6, tokens: 6, seed: 1, protect: [3..<5])
        func slots() throws -> [Int] {
            let all = try decoded.slots()
            #expect(all.allSatisfy { $0 == all[0] })
            return all[0]
        }
        #expect(try slots() == [0, 1, 2, 3, 4, 5])
        for expected in [[0, 6, 2, 3, 4, 5], [0, 6, 7, 3, 4, 5], [0, 6, 7, 3, 4, 8], [0, 9, 7, 3, 4, 8]] {
            try decoded.round()
            #expect(try slots() == expected)
        }
        let new = (0..<2).map { _ in decoded.noise(2) }
        for layer in 0..<2 { _ = try decoded.step(layer, new[layer], moves: false) }
        #expect(try slots() == [0, 9, 10, 3, 4, 11])
        try decoded.plan.trim(2)
        #expect(try slots() == [0, 9, 7, 3, 4, 8])
    }

    /// A protected token is in its slot for ever, also if the budget holds nothing but what is never evicted.
    @Test(arguments: Decoder.all, [0, 1, 5]) func itIsNeverEvicted(_ decoder: Decoder, _ spare: Int) throws {
        let protect = [5..<9, 20..<22, 57..<60]
        for budget in [17 + spare, 24 + spare] {
            var decoded = try DecodedSequence(decoder, budget: budget, seed: 3, protect: protect)
            let places = try decoded.slots().map { slots in protect.joined().map { slots.firstIndex(of: $0) } }
            #expect(places.joined().allSatisfy { $0 != nil })
            for round in 0..<80 {
                try decoded.round(round % 3 + 1)
                let now = try decoded.slots().map { slots in protect.joined().map { slots.firstIndex(of: $0) } }
                #expect(now == places, "round \(round), budget \(budget)")
            }
        }
    }

    /// At the wrong time, or out of bounds; the plan is then as if it had not been called.
    @Test func whatIsRefused() throws {
        let sequence = try Sequence(ModelShape(layers: 2, queryHeads: 2, heads: 2, headDim: 4), tokens: 40, seed: 2)
        let method = try AnyMethod.named("snapkv")
        let plan = try method.plan(sequence.shape, ["budget": 20, "window": 4])
        for (first, count) in [(-1, 1), (0, 0), (0, -1), (.min, .max), (.max, .max), (1 << 24, 1), (3, (1 << 24) - 2)] {
            #expect(errorKind { try plan.protect(first: first, count: count) } == .shape, "\(first), \(count)")
        }
        try sequence.observe(plan, layer: 0)
        #expect(errorKind { try plan.protect(first: 0, count: 1) } == .state)
        try sequence.observe(plan, layer: 1)
        try plan.finish()
        #expect(errorKind { try plan.protect(first: 0, count: 1) } == .state)
        #expect(try positions(plan) == sequence.kept(method, ["budget": 20, "window": 4]))
        plan.reset()
        try plan.protect(first: 39, count: 2)
        #expect(errorKind { try sequence.observe(plan, layer: 0) } == .shape, "the prompt has 40 tokens")
        #expect(errorKind { _ = try plan.bound(layer: 0, tokens: 40) } == .shape)
        #expect(try plan.bound(layer: 0, tokens: 41) == 20)
    }
}

// Decoding inside Swift: its memory, its allocations, threads, refused memory, drafts. Cases worked by hand are in
// DecisionsDecoding.swift; Tests/Decoding compares the evictions of thousands of steps with an independent replay.
import KVSieveMethods
import TestSupport
import Testing

@testable import KVSieveCore

// Not in the arguments of a test, where a closure crashes the compiler of Swift 6.0.
private let methodsThatAppend = AnyMethod.all.filter { !$0.row.decodes }

@Suite struct DecodingTests {
    /// 4-byte words a layer and head for the sequence, and for one token of a step, of a budget C: what the evidence keeps
    /// (the header's table), and C + 1 slots in order where scores are pooled.
    private func words(_ decoder: Decoder, _ budget: Int, _ shape: ModelShape, tokens: Int) throws -> Int {
        let parameters = decoder.method.having(
            ["budget": Double(budget), "decoding": 1].merging(decoder.changes) { $1 })
        let rule = try #require(
            try decoder.method.method(shape, parameters).decoding(CacheLength(prompt: tokens)))
        let order = rule.pooled == nil ? 0 : budget + 1
        switch rule.evidence {
        case .none: return budget + order
        case .lastRows(let rows): return (rows + 3) * budget + budget + order
        case .allRows: return 3 * budget + 2 * budget + order
        }
    }

    @Test(arguments: Decoder.all) func aSequenceHoldsWhatTheHeaderSays(_ decoder: Decoder) throws {
        let (budget, window) = (1024, 32)
        let without = try DecodedSequence(
            decoder, budget: budget, tokens: 1100, window: window, seed: 1, decoding: false)
        var with = try DecodedSequence(decoder, budget: budget, tokens: 1100, window: window, seed: 1)
        try with.round()
        // Beside these: `recent` slots, a kernel of norms, a few words a token.
        let rest = max(with.mostTokens, window) + 64
        let most = try 4 * 4 * (words(decoder, budget, with.shape, tokens: 1100) + rest)
        let scratch = 1 << 20
        #expect(with.account.held - without.account.held <= most + scratch)
        print(
            "\(decoder.testDescription): \(with.account.held - without.account.held) bytes beyond prefill, \(most)"
                + " documented")
    }

    @Test(arguments: Decoder.all, [1, 3]) func stepsAllocateNothing(_ decoder: Decoder, _ threads: Int) throws {
        var decoded = try DecodedSequence(decoder, threads: threads, seed: 2)
        for tokens in [1, 3, 1] { try decoded.round(tokens) }
        let before = decoded.account.allocations
        for step in 0..<300 { try decoded.round(1 + step % 3) }
        #expect(decoded.account.allocations == before)
        #expect(try decoded.slots().allSatisfy { $0.count == 24 })
    }

    @Test(arguments: Decoder.all, [2, 4]) func threadsDoNotChangeWhoLeaves(
        _ decoder: Decoder, _ threads: Int
    ) throws {
        var (one, many) = try (
            DecodedSequence(decoder, seed: 3), DecodedSequence(decoder, threads: threads, seed: 3)
        )
        for step in 0..<100 {
            try one.round(1 + step % 2)
            try many.round(1 + step % 2)
            #expect(try one.slots() == many.slots())
        }
    }

    /// Each allocation of a step is refused once: the call says so, changes nothing, and then works.
    @Test(arguments: Decoder.all, [1, 5]) func aRefusedAllocationChangesNothing(
        _ decoder: Decoder, _ tokens: Int
    ) throws {
        var (fresh, poor) = try (DecodedSequence(decoder, seed: 4), DecodedSequence(decoder, seed: 4))
        var refused = 0
        for _ in 0..<3 {
            for layer in 0..<2 {
                let new = fresh.noise(min(tokens, fresh.mostTokens))
                let expected = try fresh.step(layer, new)
                let slots = try poor.slots()
                poor.account.limit = poor.account.held
                while true {
                    do {
                        #expect(try poor.step(layer, new) == expected)
                        break
                    } catch let error as KVSieveError where error.kind == .memory {
                        refused += 1
                        #expect(try poor.slots() == slots)
                        poor.account.limit += max(64, poor.account.wanted)
                    }
                }
            }
        }
        #expect(refused > 0)
    }

    /// After a refused step the one before can still be taken back.
    @Test(arguments: Decoder.all) func aRefusedStepLosesNoJournal(_ decoder: Decoder) throws {
        for allocations in 0..<8 {
            var decoded = try DecodedSequence(decoder, seed: 8)
            let before = try decoded.slots()
            for layer in 0..<2 { _ = try decoded.step(layer, decoded.noise(1), moves: false) }
            let new = decoded.noise(min(5, decoded.mostTokens))
            decoded.account.limit = decoded.account.held
            for _ in 0..<allocations {
                _ = try? decoded.step(0, new, moves: false)
                decoded.account.limit += max(64, decoded.account.wanted)
            }
            guard (try? decoded.step(0, new, moves: false)) == nil else { break }
            try decoded.plan.trim(1)
            #expect(try decoded.slots() == before, "after \(allocations) allocations")
        }
    }

    /// A draft of five (or as many as a step takes) of which `accepted` are kept has the result of these alone, whatever the
    /// tokens before and after it.
    @Test(arguments: Decoder.all, 0...5) func aRejectedDraftLeavesNoTrace(
        _ decoder: Decoder, _ accepted: Int
    ) throws {
        // Budgets that fill on the way, windows shorter and longer than a round.
        for (budget, tokens) in [(24, 60), (24, 20), (70, 60)] {
            var (draft, plain) = try (
                DecodedSequence(decoder, budget: budget, tokens: tokens, seed: 5),
                DecodedSequence(decoder, budget: budget, tokens: tokens, seed: 5)
            )
            let most = min(5, draft.mostTokens)
            let accepted = min(accepted, most)
            for round in 0..<20 {
                var moves: [(evict: [[Int]], new: DecodedSequence.NewTokens)] = []
                for layer in 0..<2 {
                    let new = draft.noise(most)
                    _ = plain.noise(most)
                    moves.append((try draft.step(layer, new, moves: false), new))
                    if accepted > 0 { _ = try plain.step(layer, new.first(accepted)) }
                }
                // In two calls.
                try draft.plan.trim((most - accepted) / 2)
                try draft.plan.trim(most - accepted - (most - accepted) / 2)
                for layer in 0..<2 {
                    for i in 0..<accepted { draft.move(layer, i, moves[layer].evict, moves[layer].new) }
                }
                #expect(try draft.slots() == plain.slots(), "round \(round)")
                try draft.round(1 + round % 3)
                try plain.round(1 + round % 3)
                #expect(try draft.slots() == plain.slots(), "after round \(round)")
            }
        }
    }

    @Test(arguments: methodsThatAppend) func methodsThatAppendTakeNoSteps(
        _ method: AnyMethod
    ) throws {
        var decoded = try DecodedSequence(
            Decoder(method: method, changes: method.having(["recent": 4])), tokens: 20, seed: 6)
        #expect(errorKind { _ = try decoded.step(0, decoded.noise(1)) } == .state)
        #expect(errorKind { try decoded.plan.trim(0) } == .state)
        #expect(try decoded.plan.slots(layer: 0, head: 0).tokens == 20)
    }
}

// Decoding inside Swift: what it holds, what it allocates, threads, refused memory, cases worked by hand. Who leaves over
// thousands of steps is compared with an independent replay in Tests/Decoding.
import KVSieveMethods
import TestSupport
import Testing

@testable import KVSieveCore

private let decoders = Registry.rows.filter(\.decodes)

/// A sequence that is decoded by noise: the caller's cache, kept as an engine keeps it.
private struct Decoded {
    let plan: Plan
    let account: MemoryAccount
    let shape: ModelShape
    let budget: Int
    var random: SplitMix
    /// [layer][head][slot]: rows of keys and values.
    var keys: [[[[Float]]]] = []
    var values: [[[[Float]]]] = []

    init(
        _ row: MethodRow, budget: Int = 24, tokens: Int = 60, window: Int = 8, threads: Int = 1, seed: UInt64,
        decoding: Bool = true, limit: Int = .max
    ) throws {
        shape = try ModelShape(layers: 2, queryHeads: 4, heads: 2, headDim: 8)
        account = MemoryAccount(limit: limit)
        plan = try Plan(row, shape, Shared.plan, account: account)
        let wishes = [
            "budget": Double(budget), "window": Double(window), "pool_kernel": 3, "threads": Double(threads),
            "decoding": decoding ? 1 : 0, "recent_ratio": 0.25,
        ]
        for parameter in row.parameters {
            if let value = wishes["\(parameter.name)"] { try plan.set(parameter.id, value) }
        }
        self.budget = budget
        random = SplitMix(seed)
        let rows = row.parameters.contains { $0.id == Shared.window.id } ? min(window, tokens) : tokens
        for layer in 0..<shape.layers {
            let q = Tensor(random.floats(4 * rows * 8), heads: 4, tokens: rows, dim: 8)
            let k = random.floats(2 * tokens * 8)
            let v = random.floats(2 * tokens * 8)
            let (kt, vt) = (Tensor(k, heads: 2, tokens: tokens, dim: 8), Tensor(v, heads: 2, tokens: tokens, dim: 8))
            try plan.observe(
                layer: layer, queries: { () throws(KVSieveError) in try q.view("queries") },
                keys: { () throws(KVSieveError) in try kt.view("keys") },
                values: { () throws(KVSieveError) in try vt.view("values") })
            let kept = try plan.kept(layer: layer)
            func cut(_ all: [Float]) -> [[[Float]]] {
                (0..<2).map { head in
                    kept.copy(head).map { position in
                        let first = (head * tokens + position) * 8
                        return Array(all[first..<first + 8])
                    }
                }
            }
            keys.append(cut(k))
            values.append(cut(v))
        }
        try plan.finish()
    }

    /// m new tokens in one layer: where each goes, [head][token]. With `moves` the cache follows.
    mutating func step(_ layer: Int, _ q: [Float], _ k: [[[Float]]], _ v: [[[Float]]], moves: Bool = true) throws
        -> [[Int]]
    {
        let tokens = k[0].count
        let base = keys[layer][0].count
        func tensor(_ cache: [[[Float]]], _ new: [[[Float]]]) -> Tensor {
            Tensor((0..<2).flatMap { (cache[$0] + new[$0]).flatMap { $0 } }, heads: 2, tokens: base + tokens, dim: 8)
        }
        let (kt, vt) = (tensor(keys[layer], k), tensor(values[layer], v))
        let qt = Tensor(q, heads: 4, tokens: tokens, dim: 8)
        var evict = [Int32](repeating: -7, count: 2 * tokens)
        let shape = shape
        try evict.withUnsafeMutableBufferPointer { out in
            guard let start = out.baseAddress else { return }
            try plan.step(layer: layer, evict: start) { (needsValues) throws(KVSieveError) in
                try StepInput(
                    shape, layer: layer, queries: qt.view("queries"), keys: kt.view("keys"),
                    values: needsValues ? vt.view("values") : nil)
            }
        }
        let out = (0..<2).map { head in (0..<tokens).map { Int(evict[head * tokens + $0]) } }
        if moves { for i in 0..<tokens { move(layer, i, out, k, v) } }
        return out
    }

    mutating func move(_ layer: Int, _ i: Int, _ evict: [[Int]], _ k: [[[Float]]], _ v: [[[Float]]]) {
        for head in 0..<2 {
            if evict[head][i] < 0 {
                keys[layer][head].append(k[head][i])
                values[layer][head].append(v[head][i])
            } else {
                keys[layer][head][evict[head][i]] = k[head][i]
                values[layer][head][evict[head][i]] = v[head][i]
            }
        }
    }

    mutating func noise(_ tokens: Int) -> (q: [Float], k: [[[Float]]], v: [[[Float]]]) {
        func rows() -> [[[Float]]] { (0..<2).map { _ in (0..<tokens).map { _ in random.floats(8) } } }
        return (random.floats(4 * tokens * 8), rows(), rows())
    }

    /// A round of m tokens through all layers.
    mutating func round(_ tokens: Int = 1) throws {
        for layer in 0..<shape.layers {
            let (q, k, v) = noise(tokens)
            _ = try step(layer, q, k, v)
        }
    }

    func slots() throws -> [[Int]] {
        try (0..<shape.layers).flatMap { layer in
            try (0..<2).map { try plan.slots(layer: layer, head: $0).positions.map { Int($0) } }
        }
    }
}

private func kind(_ body: () throws -> Void) -> KVSieveError.Kind? {
    do { try body() } catch { return (error as? KVSieveError)?.kind }
    return nil
}

@Suite struct DecodingTests {
    /// The header's numbers: 4-byte words a layer and head, and the journal of one token.
    @Test(arguments: decoders) func aSequenceHoldsWhatTheHeaderSays(_ row: MethodRow) throws {
        let (budget, window) = (1024, 32)
        let without = try Decoded(row, budget: budget, tokens: 1100, window: window, seed: 1, decoding: false)
        var with = try Decoded(row, budget: budget, tokens: 1100, window: window, seed: 1)
        try with.round()
        let words = row.id == 1 ? (window + 3) * budget : 3 * budget
        let journal = row.id == 1 ? budget : 2 * budget
        // Beside these: `recent` slots, a kernel of norms, a few words a token.
        let rest = max(window, budget / 4) + 64
        let most = 4 * 4 * (words + journal + rest)
        let scratch = 1 << 20
        #expect(with.account.held - without.account.held <= most + scratch)
        print("\(row.name): \(with.account.held - without.account.held) bytes beyond prefill, \(most) documented")
    }

    @Test(arguments: decoders, [1, 3]) func stepsAllocateNothing(_ row: MethodRow, _ threads: Int) throws {
        var decoded = try Decoded(row, threads: threads, seed: 2)
        for tokens in [1, 3, 1] { try decoded.round(tokens) }
        let before = decoded.account.allocations
        for step in 0..<300 { try decoded.round(1 + step % 3) }
        #expect(decoded.account.allocations == before)
        #expect(try decoded.slots().allSatisfy { $0.count == 24 })
    }

    @Test(arguments: decoders, [2, 4]) func threadsDoNotChangeWhoLeaves(_ row: MethodRow, _ threads: Int) throws {
        var (one, many) = try (Decoded(row, seed: 3), Decoded(row, threads: threads, seed: 3))
        for step in 0..<100 {
            try one.round(1 + step % 2)
            try many.round(1 + step % 2)
            #expect(try one.slots() == many.slots())
        }
    }

    /// Each allocation of a step is refused once: the call says so, changes nothing, and then works.
    @Test(arguments: decoders, [1, 5]) func aRefusedAllocationChangesNothing(_ row: MethodRow, _ tokens: Int) throws {
        var (fresh, poor) = try (Decoded(row, seed: 4), Decoded(row, seed: 4))
        var refused = 0
        for _ in 0..<3 {
            for layer in 0..<2 {
                let (q, k, v) = fresh.noise(tokens)
                _ = poor.noise(tokens)
                let expected = try fresh.step(layer, q, k, v)
                let slots = try poor.slots()
                poor.account.limit = poor.account.held
                while true {
                    do {
                        #expect(try poor.step(layer, q, k, v) == expected)
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

    /// A step that is refused leaves the one before it to be taken back.
    @Test(arguments: decoders) func aRefusedStepLosesNoJournal(_ row: MethodRow) throws {
        for allocations in 0..<8 {
            var decoded = try Decoded(row, seed: 8)
            let before = try decoded.slots()
            for layer in 0..<2 {
                let (q, k, v) = decoded.noise(1)
                _ = try decoded.step(layer, q, k, v, moves: false)
            }
            let (q, k, v) = decoded.noise(5)
            decoded.account.limit = decoded.account.held
            for _ in 0..<allocations {
                _ = try? decoded.step(0, q, k, v, moves: false)
                decoded.account.limit += max(64, decoded.account.wanted)
            }
            guard (try? decoded.step(0, q, k, v, moves: false)) == nil else { break }
            try decoded.plan.trim(1)
            #expect(try decoded.slots() == before, "after \(allocations) allocations")
        }
    }

    /// A draft of five of which `accepted` stay, ends where these alone would have led; whatever came before and comes after.
    @Test(arguments: decoders, 0...5) func aRejectedDraftLeavesNoTrace(_ row: MethodRow, _ accepted: Int) throws {
        // Budgets that fill on the way, windows shorter and longer than a round.
        for (budget, tokens) in [(24, 60), (24, 20), (70, 60)] {
            var (draft, plain) = try (
                Decoded(row, budget: budget, tokens: tokens, seed: 5),
                Decoded(row, budget: budget, tokens: tokens, seed: 5)
            )
            for round in 0..<20 {
                var moves: [(evict: [[Int]], k: [[[Float]]], v: [[[Float]]])] = []
                for layer in 0..<2 {
                    let (q, k, v) = draft.noise(5)
                    _ = plain.noise(5)
                    moves.append((try draft.step(layer, q, k, v, moves: false), k, v))
                    func first(_ rows: [[[Float]]]) -> [[[Float]]] { rows.map { Array($0.prefix(accepted)) } }
                    var queries: [Float] = []
                    for head in 0..<4 { queries += q[head * 40..<head * 40 + accepted * 8] }
                    if accepted > 0 { _ = try plain.step(layer, queries, first(k), first(v)) }
                }
                // In two goes.
                try draft.plan.trim((5 - accepted) / 2)
                try draft.plan.trim(5 - accepted - (5 - accepted) / 2)
                for layer in 0..<2 {
                    for i in 0..<accepted { draft.move(layer, i, moves[layer].evict, moves[layer].k, moves[layer].v) }
                }
                #expect(try draft.slots() == plain.slots(), "round \(round)")
                try draft.round(1 + round % 3)
                try plain.round(1 + round % 3)
                #expect(try draft.slots() == plain.slots(), "after round \(round)")
            }
        }
    }

    @Test(arguments: Registry.rows.filter { !$0.decodes }) func methodsThatAppendTakeNoSteps(_ row: MethodRow) throws {
        var decoded = try Decoded(row, tokens: 20, seed: 6)
        let (q, k, v) = decoded.noise(1)
        #expect(kind { _ = try decoded.step(0, q, k, v) } == .state)
        #expect(kind { try decoded.plan.trim(0) } == .state)
        #expect(try decoded.plan.slots(layer: 0, head: 0).tokens == 20)
    }
}

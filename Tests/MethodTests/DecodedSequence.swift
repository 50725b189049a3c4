// A sequence that is decoded by noise: the caller's cache, kept as an engine keeps it.
import KVSieveMethods
import TestSupport
import Testing

@testable import KVSieveCore

/// A method that decodes, and what of its parameters matters then.
struct Decoder: Sendable, CustomTestStringConvertible {
    let method: AnyMethod
    let changes: [String: Double]

    var testDescription: String {
        ([method.name] + changes.sorted { $0.key < $1.key }.map { "\($0) \(Int($1))" }).joined(separator: " ")
    }

    /// Each method, and each of its poolings of scores.
    static let all: [Decoder] = AnyMethod.decoders.flatMap { method -> [Decoder] in
        let plain = [Decoder(method: method, changes: [:])]
        guard method.parameter("score_kernel") != nil else { return plain }
        return plain + [0, 1].map { Decoder(method: method, changes: ["score_kernel": 5, "pool": $0]) }
    }
}

struct DecodedSequence {
    let plan: Plan
    let account: MemoryAccount
    let shape: ModelShape
    /// The most tokens of a step: as many as the recent ones, which are never evicted.
    let mostTokens: Int
    /// Of keys and values.
    var layout = Layout.headMajor
    private var random: SplitMix
    /// [layer][head][slot]: rows of keys and values.
    private var keys: [[[[Float]]]] = []
    private var values: [[[[Float]]]] = []

    init(
        _ decoder: Decoder, budget: Int = 24, tokens: Int = 60, window: Int = 8, threads: Int = 1, seed: UInt64,
        decoding: Bool = true, protect: [Range<Int>] = []
    ) throws {
        let method = decoder.method
        shape = try ModelShape(layers: 2, queryHeads: 4, heads: 2, headDim: 8)
        account = MemoryAccount()
        let wishes: [String: Double] = [
            "budget": Double(budget), "window": Double(window), "pool_kernel": 3, "threads": Double(threads),
            "decoding": decoding ? 1 : 0, "recent_ratio": 0.25,
        ]
        let parameters = method.having(wishes.merging(decoder.changes) { $1 })
        plan = try method.plan(shape, parameters, account: account)
        for range in protect { try plan.protect(first: range.lowerBound, count: range.count) }
        let rule = try method.method(shape, parameters).decoding(CacheLength(prompt: tokens))
        mostTokens = rule?.recent ?? 1
        random = SplitMix(seed)
        for layer in 0..<shape.layers {
            let q = Tensor(random.floats(4 * tokens * 8), heads: 4, tokens: tokens, dim: 8)
            let k = random.floats(2 * tokens * 8)
            let v = random.floats(2 * tokens * 8)
            try plan.observe(
                layer: layer, q, Tensor(k, heads: 2, tokens: tokens, dim: 8),
                Tensor(v, heads: 2, tokens: tokens, dim: 8))
            let kept = try positions(plan, layer: layer)
            func cut(_ all: [Float]) -> [[[Float]]] {
                kept.enumerated().map { head, kept in
                    kept.map { position in
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

    /// m new tokens in one layer: the slot that each takes over, [head][token]. With `moves` the rows are moved.
    mutating func step(
        _ layer: Int, _ new: NewTokens, moves: Bool = true
    ) throws -> [[Int]] {
        let tokens = new.count
        let base = keys[layer][0].count
        func tensor(_ cache: [[[Float]]], _ new: [[[Float]]]) -> Tensor {
            Tensor(
                (0..<2).flatMap { (cache[$0] + new[$0]).flatMap { $0 } }, heads: 2, tokens: base + tokens, dim: 8,
                .float32, layout)
        }
        let q = Tensor(new.queries.flatMap { $0.flatMap { $0 } }, heads: 4, tokens: tokens, dim: 8)
        var evict = [Int32](repeating: -7, count: 2 * tokens)
        try evict.withUnsafeMutableBufferPointer { out in
            guard let start = out.baseAddress else { return }
            try plan.step(
                layer: layer, slot: start, q, tensor(keys[layer], new.keys), tensor(values[layer], new.values))
        }
        let out = (0..<2).map { head in (0..<tokens).map { Int(evict[head * tokens + $0]) } }
        if moves { for i in 0..<tokens { move(layer, i, out, new) } }
        return out
    }

    mutating func move(_ layer: Int, _ i: Int, _ evict: [[Int]], _ new: NewTokens) {
        for head in 0..<2 {
            if evict[head][i] < 0 {
                keys[layer][head].append(new.keys[head][i])
                values[layer][head].append(new.values[head][i])
            } else {
                keys[layer][head][evict[head][i]] = new.keys[head][i]
                values[layer][head][evict[head][i]] = new.values[head][i]
            }
        }
    }

    /// Rows of new tokens, [head][token].
    struct NewTokens {
        var queries: [[[Float]]]
        var keys: [[[Float]]]
        var values: [[[Float]]]
        var count: Int { keys[0].count }

        /// The first `count` of them.
        func first(_ count: Int) -> NewTokens {
            func cut(_ rows: [[[Float]]]) -> [[[Float]]] { rows.map { Array($0.prefix(count)) } }
            return NewTokens(queries: cut(queries), keys: cut(keys), values: cut(values))
        }
    }

    mutating func noise(_ tokens: Int) -> NewTokens {
        func rows(_ heads: Int) -> [[[Float]]] {
            (0..<heads).map { _ in (0..<tokens).map { _ in random.floats(8) } }
        }
        return NewTokens(queries: rows(4), keys: rows(2), values: rows(2))
    }

    /// A round of m tokens through all layers; as many as may be.
    mutating func round(_ tokens: Int = 1) throws {
        for layer in 0..<shape.layers { _ = try step(layer, noise(min(tokens, mostTokens))) }
    }

    func slots() throws -> [[Int]] {
        try (0..<shape.layers).flatMap { layer in
            try (0..<2).map { try plan.slots(layer: layer, head: $0).positions.map { Int($0) } }
        }
    }
}

// A sequence that goes on, as an engine passes it to a plan: for each head its kept rows, its new ones, then NaN.
import KVSieveMethods
import TestSupport

@testable import KVSieveCore

struct ExtendedSequence {
    let plan: Plan
    let account: MemoryAccount
    private let shape: ModelShape
    /// The most tokens of the sequence.
    private let total: Int
    /// [layer], (heads, total, D).
    private let queries: [[Float]]
    private let keys: [[Float]]
    private let values: [[Float]]
    /// [layer][head]: the positions that are there, without the new ones.
    private(set) var kept: [[[Int]]]
    private(set) var tokens = 0
    private(set) var new = 0
    /// Of keys and values.
    var layout = Layout.headMajor

    init(
        _ method: AnyMethod, _ shape: ModelShape, _ parameters: [String: Double], total: Int, _ queries: [[Float]],
        _ keys: [[Float]], _ values: [[Float]]
    ) throws {
        account = MemoryAccount()
        plan = try method.plan(shape, parameters, account: account)
        self.shape = shape
        self.total = total
        (self.queries, self.keys, self.values) = (queries, keys, values)
        kept = Array(repeating: Array(repeating: [], count: shape.heads), count: shape.layers)
    }

    /// Noise; heads of Task-KV and Ada-KV will differ in length, layers of WindowKV, DynamicKV and PyramidKV.
    init(
        _ method: AnyMethod, _ changes: [String: Double] = [:], threads: Int = 1, seed: UInt64 = 5, total: Int = 900
    ) throws {
        let shape = try ModelShape(layers: 4, queryHeads: 6, heads: 3, headDim: 8)
        let noise = Sequence(shape, tokens: total, seed: seed)
        let wishes: [String: Double] = ["threads": Double(threads), "beta": 0.5, "cap": 1.5]
        let parameters = method.tight(tokens: 200, ratio: 0.6, wishes.merging(changes) { $1 })
        try self.init(method, shape, parameters, total: total, noise.queries, noise.keys, noise.values)
    }

    /// By hand: token j of a head has weight `first[j]` for each row of the prompt, `prompt` tokens, and `later[j]` for each
    /// later row. Keys are (ln first, ln later), queries (1, 0) and then (0, 1), scale 1.
    /// - Parameter values: [layer][head][token], the first element of a value row; 1 where nil.
    init(
        _ name: String, prompt: Int, _ first: [[[Double]]], _ later: [[[Double]]], values: [[[Double]]]? = nil,
        _ parameters: [String: Double]
    ) throws {
        let heads = first[0].count
        let total = later[0][0].count
        let shape = try ModelShape(layers: first.count, queryHeads: heads, heads: heads, headDim: 2, scale: 1)
        func ln(_ weights: [Double], _ token: Int) -> Float {
            weights.indices.contains(token) ? Float(naturalLogarithm(weights[token])) : 0
        }
        let keys = zip(first, later).map { layer in
            zip(layer.0, layer.1).flatMap { head in (0..<total).flatMap { [ln(head.0, $0), ln(head.1, $0)] } }
        }
        let queries = first.map { _ in
            (0..<heads).flatMap { _ in (0..<total).flatMap { ($0 < prompt ? [1, 0] : [0, 1]) as [Float] } }
        }
        let rows = first.indices.map { layer in
            (0..<heads).flatMap { head in
                (0..<total).flatMap { [Float(values?[layer][head][$0] ?? 1), 0] as [Float] }
            }
        }
        let method = try AnyMethod.named(name)
        let plain: [String: Double] = ["window": 1, "pool_kernel": 1]
        try self.init(
            method, shape, method.having(plain.merging(parameters) { $1 }), total: total, queries, keys, rows)
        try go(prompt)
    }

    /// The plan was extended by new tokens; no layer was observed yet.
    mutating func extend(_ count: Int) throws {
        if tokens > 0 { try plan.extend(count) }
        new = count
    }

    private func rows(_ layer: Int, _ head: Int) -> [Int] { kept[layer][head] + Array(tokens..<tokens + new) }

    func observe(_ layer: Int) throws {
        let longest = (0..<shape.heads).map { rows(layer, $0).count }.max() ?? 0
        func cache(_ source: [Float]) -> Tensor {
            let dim = shape.headDim
            let tensor = Tensor(
                Array(repeating: .nan, count: shape.heads * longest * dim), heads: shape.heads, tokens: longest,
                dim: dim, .float32, layout)
            for head in 0..<shape.heads {
                for (row, token) in rows(layer, head).enumerated() {
                    for d in 0..<dim { tensor.set(head, row, d, source[(head * total + token) * dim + d]) }
                }
            }
            return tensor
        }
        let dim = shape.headDim
        var asked: [Float] = []
        for head in 0..<shape.queryHeads {
            let first = (head * total + tokens) * dim
            asked += queries[layer][first..<first + new * dim]
        }
        try plan.observe(
            layer: layer, Tensor(asked, heads: shape.queryHeads, tokens: new, dim: dim), cache(keys[layer]),
            cache(values[layer]))
    }

    mutating func finish() throws {
        try plan.finish()
        try settle()
    }

    /// The plan is finished: the caches follow.
    mutating func settle() throws {
        (tokens, new) = (tokens + new, 0)
        kept = try positions(plan)
    }

    /// The plan was reset.
    mutating func forget() {
        (tokens, new) = (0, 0)
        kept = kept.map { $0.map { _ in [] } }
    }

    /// New tokens, or the prompt, through all layers: what is kept then.
    @discardableResult
    mutating func go(_ count: Int) throws -> [[[Int]]] {
        try extend(count)
        for layer in 0..<shape.layers { try observe(layer) }
        try finish()
        return kept
    }
}

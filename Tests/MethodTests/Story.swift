import KVSieveMethods
import TestSupport

// A sequence that goes on, as an engine tells it to a plan: of each head the rows that it kept, its new ones, NaN behind them.
@testable import KVSieveCore

struct Story {
    let plan: Plan
    let account: MemoryAccount
    private let shape: ModelShape
    private let window: Int
    /// Tokens that can come.
    private let total: Int
    /// [layer], (heads, total, D).
    private let queries: [[Float]]
    private let keys: [[Float]]
    private let values: [[Float]]
    /// [layer][head]: the positions that are there, without the new ones.
    private(set) var books: [[[Int]]]
    private(set) var tokens = 0
    private(set) var new = 0

    private init(
        _ row: MethodRow, _ shape: ModelShape, _ parameters: [String: Double], total: Int, _ queries: [[Float]],
        _ keys: [[Float]], _ values: [[Float]]
    ) throws {
        account = MemoryAccount()
        plan = try Plan(row, shape, Shared.plan, account: account)
        for parameter in row.parameters {
            if let value = parameters["\(parameter.name)"] { try plan.set(parameter.id, value) }
        }
        self.shape = shape
        window = Int(parameters["window"] ?? 1)
        self.total = total
        (self.queries, self.keys, self.values) = (queries, keys, values)
        books = Array(repeating: Array(repeating: [], count: shape.heads), count: shape.layers)
    }

    /// Noise; heads of Task-KV come to differ in length, layers of WindowKV and DynamicKV.
    init(_ row: MethodRow, threads: Int = 1, seed: UInt64 = 5, total: Int = 900) throws {
        let shape = try ModelShape(layers: 4, queryHeads: 6, heads: 3, headDim: 8)
        let noise = Sequence(shape, tokens: total, window: total, seed: seed)
        var parameters = tight(row, tokens: 200)
        for (name, value) in ["threads": Double(threads), "ratio": 0.6, "beta": 0.5, "cap": 1.5] {
            parameters[name] = value
        }
        try self.init(row, shape, parameters, total: total, noise.queries, noise.keys, noise.values)
    }

    /// Crafted: token j of a head has weight `first[j]` for each row of the prompt, `prompt` tokens, and `later[j]` for what
    /// comes after it. Keys are (ln first, ln later), queries (1, 0) and then (0, 1), scale 1.
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
        let plain: [String: Double] = ["window": 1, "pool_kernel": 1]
        try self.init(
            method(name), shape, plain.merging(parameters) { $1 }, total: total, queries, keys, rows)
        try go(prompt)
    }

    /// New tokens have come; no layer was observed yet.
    mutating func extend(_ count: Int) throws {
        if tokens > 0 { try plan.extend(count) }
        new = count
    }

    func rows(_ layer: Int, _ head: Int) -> [Int] { books[layer][head] + Array(tokens..<tokens + new) }

    func observe(_ layer: Int) throws {
        let longest = (0..<shape.heads).map { rows(layer, $0).count }.max() ?? 0
        func cache(_ source: [Float]) -> Tensor {
            let dim = shape.headDim
            let tensor = Tensor(
                Array(repeating: .nan, count: shape.heads * longest * dim), heads: shape.heads, tokens: longest,
                dim: dim)
            for head in 0..<shape.heads {
                for (row, token) in rows(layer, head).enumerated() {
                    for d in 0..<dim { tensor.set(head, row, d, source[(head * total + token) * dim + d]) }
                }
            }
            return tensor
        }
        let count = try plan.needs(layer: layer).contains(.allQueries) ? new : min(window, new)
        let dim = shape.headDim
        let end = tokens + new
        var asked: [Float] = []
        for head in 0..<shape.queryHeads {
            let first = (head * total + end - count) * dim
            asked += queries[layer][first..<first + count * dim]
        }
        let q = Tensor(asked, heads: shape.queryHeads, tokens: count, dim: dim)
        let (k, v) = (cache(keys[layer]), cache(values[layer]))
        try Sequence(shape, tokens: longest, rows: count).observeLayer(plan, layer, q, k, v)
    }

    mutating func finish() throws {
        try plan.finish()
        try settle()
    }

    /// The plan is finished: the books follow.
    mutating func settle() throws {
        (tokens, new) = (tokens + new, 0)
        books = try positions(plan)
    }

    /// The plan was reset.
    mutating func forget() {
        (tokens, new) = (0, 0)
        books = books.map { $0.map { _ in [] } }
    }

    /// New tokens, or the prompt, through all layers: what is kept then.
    @discardableResult
    mutating func go(_ count: Int) throws -> [[[Int]]] {
        try extend(count)
        for layer in 0..<shape.layers { try observe(layer) }
        try finish()
        return books
    }
}

import KVSieveMethods
import TestSupport

// A seeded sequence in the caller's memory, in any dtype and layout, and plans run over it.
@testable import KVSieveCore

extension SplitMix {
    /// Roughly normal, a multiple of 1/64 below 8 in size: exact in float16 and float32.
    mutating func coarse() -> Float {
        let sum = (0..<4).reduce(0) { sum, _ in sum + Int(next() >> 56) - 127 }
        return Float(sum / 3) / 64
    }
}

/// Queries, keys and values of every layer as floats, before they are laid out.
struct Sequence {
    var shape: ModelShape
    var tokens: Int
    var rows: Int
    var queries: [[Float]] = []
    var keys: [[Float]] = []
    var values: [[Float]] = []

    /// A sequence without tensors yet.
    init(_ shape: ModelShape, tokens: Int, rows: Int) { (self.shape, self.tokens, self.rows) = (shape, tokens, rows) }

    /// Values are rounded to 5 bits so that every dtype holds them exactly.
    init(_ shape: ModelShape, tokens: Int, window: Int, seed: UInt64) {
        self.shape = shape
        self.tokens = tokens
        rows = min(window, tokens)
        var noise = SplitMix(seed)
        func many(_ count: Int) -> [Float] { (0..<count).map { _ in (noise.coarse() * 8).rounded() / 8 } }
        for _ in 0..<shape.layers {
            queries.append(many(shape.queryHeads * rows * shape.headDim))
            keys.append(many(shape.heads * tokens * shape.headDim))
            values.append(many(shape.heads * tokens * shape.headDim))
        }
    }

    func tensors(_ layer: Int, _ type: ElementType = .float32, _ layout: Layout = .headMajor) -> (
        Tensor, Tensor, Tensor
    ) {
        func make(_ values: [Float], _ heads: Int, _ tokens: Int) -> Tensor {
            Tensor(values, heads: heads, tokens: tokens, dim: shape.headDim, type, layout)
        }
        return (
            make(queries[layer], shape.queryHeads, rows), make(keys[layer], shape.heads, tokens),
            make(values[layer], shape.heads, tokens)
        )
    }

    /// Observes layer after layer. `watch` is called after each with the plan.
    func observe(
        _ plan: Plan, _ type: ElementType = .float32, _ layout: Layout = .headMajor,
        watch: (Plan, Int) throws -> Void = { _, _ in }
    ) throws {
        for layer in 0..<shape.layers {
            let (q, k, v) = tensors(layer, type, layout)
            try observeLayer(plan, layer, q, k, v)
            try watch(plan, layer)
        }
    }

    /// Tensors that the layer does not need are not handed over.
    func observeLayer(_ plan: Plan, _ layer: Int, _ q: Tensor, _ k: Tensor, _ v: Tensor) throws {
        let needs = try plan.needs(layer: layer)
        try plan.observe(
            layer: layer,
            queries: { () throws(KVSieveError) in needs.contains(.queries) ? try q.view("queries") : nil },
            keys: { () throws(KVSieveError) in needs.contains(.keys) ? try k.view("keys") : nil },
            values: { () throws(KVSieveError) in needs.contains(.values) ? try v.view("values") : nil })
    }

    /// A finished plan's positions, [layer][head].
    func kept(
        _ row: MethodRow, _ parameters: [String: Double] = [:], _ type: ElementType = .float32,
        _ layout: Layout = .headMajor
    ) throws -> [[[Int]]] {
        let plan = try makePlan(row, shape, parameters)
        try observe(plan, type, layout)
        try plan.finish()
        return try positions(plan)
    }
}

func makePlan(_ row: MethodRow, _ shape: ModelShape, _ parameters: [String: Double] = [:], limit: Int = .max) throws
    -> Plan
{
    let plan = try Plan(row, shape, Shared.plan, account: MemoryAccount(limit: limit))
    for (name, value) in parameters {
        guard let parameter = row.parameters.first(where: { "\($0.name)" == name }) else {
            throw KVSieveError(.parameter, "the test names \(name), which \(row.name) does not have")
        }
        try plan.set(parameter.id, value)
    }
    return plan
}

func positions(_ plan: Plan) throws -> [[[Int]]] {
    try (0..<plan.shape.layers).map { layer in
        let selection = try plan.kept(layer: layer)
        return (0..<selection.heads).map { selection.copy($0) }
    }
}

func method(_ name: String) throws -> MethodRow {
    guard let row = Registry.rows.first(where: { "\($0.name)" == name }) else {
        throw KVSieveError(.method, "no method \(name)")
    }
    return row
}

/// Rows of queries that a method reads with its tight parameters: those of its window, or all.
func windowOf(_ row: MethodRow, tokens: Int) -> Int { tight(row, tokens: tokens)["window"].map { Int($0) } ?? tokens }

/// Parameters that make a method choose among `tokens` tokens with a small window; every method in the registry must work
/// with those of these names that it has.
func tight(_ row: MethodRow, tokens: Int) -> [String: Double] {
    let wishes: [String: Double] = [
        "budget": Double(tokens / 5), "ratio": 0.4, "window": 8, "shared": 2, "pyramid": 4, "size": 5,
        "recent": 16, "sinks": 4, "every": 2, "tokens": 24,
    ]
    return wishes.filter { name, _ in row.parameters.contains { "\($0.name)" == name } }
}

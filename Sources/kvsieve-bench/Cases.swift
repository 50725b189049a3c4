// The sequences that are timed: plans by their method's name, and one layer with everything an engine does with it.
import KVSieveCore
import KVSieveMethods

struct Options {
    var quick = false
    var only: Int?

    /// Repetitions: fewer where one takes long.
    func count(_ tokens: Int) -> Int { quick ? 3 : tokens > 65_536 ? 5 : 9 }
}

/// The layer of the README's numbers: 32 query heads, 8 KV heads, D 128.
func layerShape(layers: Int = 1, heads: Int = 8) throws -> ModelShape {
    try ModelShape(layers: layers, queryHeads: 32, heads: heads, headDim: 128)
}

let typeNames: [(type: ElementType, name: String)] = [(.float32, "f32"), (.float16, "f16"), (.bfloat16, "bf16")]

func name(_ type: ElementType) -> String { typeNames.first { $0.type == type }?.name ?? type.name }

/// Parameters that the method does not have are refused by it.
func makePlan(_ method: String, _ shape: ModelShape, _ settings: [String: Double] = [:]) throws -> Plan {
    guard let type = Registry.methods.first(where: { "\($0.row.name)" == method }) else {
        throw KVSieveError(.method, "no method \(method)")
    }
    let row = type.row
    let plan = try Plan(type, shape, Shared.plan)
    for (name, value) in settings {
        guard let parameter = row.parameters.first(where: { "\($0.name)" == name }) else {
            throw KVSieveError(.parameter, "\(method) has no \(name)")
        }
        try plan.set(parameter.id, value)
    }
    return plan
}

/// Method dynamickv alone in its layer: SnapKV's score and 1,024 tokens a head.
func layerPlan(_ shape: ModelShape, threads: Int = 1) throws -> Plan {
    try makePlan(
        "dynamickv", shape, ["budget": 1024, "window": 32, "cap": 1, "threads": Double(threads)])
}

extension Plan {
    func observe(_ layer: Int, _ queries: TensorView, _ keys: TensorView, _ values: TensorView) throws {
        try observe(layer: layer) { (_) throws(KVSieveError) in
            LayerTensors(
                queries: queries, keys: keys, values: values,
                shape: try TensorShape("keys", heads: keys.heads, tokens: keys.tokens))
        }
    }
}

/// Memory of one layer of up to `mostTokens` tokens, in every type; lengths, types and layouts are views of it.
final class LayerMemory {
    static let window = 32
    let shape: ModelShape
    private let queries: [ElementType: Memory]
    private let keys: [ElementType: Memory]
    private let values: Memory
    private let targets: [Memory]

    init(_ shape: ModelShape, mostTokens: Int, types: [ElementType]) throws {
        self.shape = shape
        let count = shape.heads * mostTokens * shape.headDim
        var queries: [ElementType: Memory] = [:]
        var keys: [ElementType: Memory] = [:]
        for type in types {
            queries[type] = try Memory(shape.queryHeads * Self.window * shape.headDim, type, seed: 11)
            keys[type] = try Memory(count, type, seed: 12)
        }
        self.queries = queries
        self.keys = keys
        values = try Memory(count, seed: 13)
        targets = try (0..<2).map { _ in try Memory(shape.heads * 1024 * shape.headDim, seed: 14) }
    }

    func layer(_ tokens: Int, _ type: ElementType, _ layout: Layout = .headMajor) throws -> Layer {
        guard let queries = queries[type], let keys = keys[type] else {
            throw KVSieveError(.dtype, "no memory of \(type.name)")
        }
        let dim = shape.headDim
        return Layer(
            queries: try queries.view(
                "queries", heads: shape.queryHeads, tokens: Self.window, dim: dim, type, layout),
            keys: try keys.view("keys", heads: shape.heads, tokens: tokens, dim: dim, type, layout),
            values: try values.view("values", heads: shape.heads, tokens: tokens, dim: dim, type, layout),
            targets: try targets.map { try $0.view("target", heads: shape.heads, tokens: 1024, dim: dim, type) })
    }
}

/// Views of one layer, and of the memory that its kept keys and values go to.
struct Layer {
    let queries: TensorView
    let keys: TensorView
    let values: TensorView
    let targets: [TensorView]

    /// What the comparison with the bare products times.
    func run(_ plan: Plan) throws {
        plan.reset()
        try plan.observe(0, queries, keys, values)
        try plan.finish()
        try plan.gather(layer: 0, source: keys, target: targets[0])
        try plan.gather(layer: 0, source: values, target: targets[1])
    }
}

// A seeded sequence in the caller's memory, in any dtype and layout, and plans that observe it. Tensors are handed over here
// alone: what a layer needs, and nothing else. Queries are those of all T tokens, whatever a method reads of them.
import KVSieveMethods
import TestSupport
import Testing

@testable import KVSieveCore

/// A tensor that a test has in memory of some kind.
protocol Viewable {
    var heads: Int { get }
    var tokens: Int { get }
    func view(_ name: StaticString) throws(KVSieveError) -> TensorView
}

extension Tensor: Viewable {}

extension Plan {
    /// - Parameters q, k, v: what is there; of the keys the shape alone is handed over where no more is read.
    func observe(
        layer: Int, _ q: some Viewable, _ k: some Viewable, _ v: some Viewable
    ) throws(KVSieveError) {
        try observe(layer: layer) { (needs) throws(KVSieveError) in
            try LayerTensors(
                queries: needs.contains(.queries) ? q.view("queries") : nil,
                keys: needs.contains(.keys) ? k.view("keys") : nil,
                values: needs.contains(.values) ? v.view("values") : nil,
                shape: needs.contains(.length) ? TensorShape("keys", heads: k.heads, tokens: k.tokens) : nil)
        }
    }

    /// - Parameter slot: (H, m).
    func step(
        layer: Int, slot: UnsafeMutablePointer<Int32>, _ q: some Viewable, _ k: some Viewable, _ v: some Viewable
    ) throws(KVSieveError) {
        let shape = shape
        try step(layer: layer, slot: slot) { (needs, living) throws(KVSieveError) in
            if needs.contains(.length) {
                return try StepInput(
                    shape, layer: layer, keys: TensorShape("keys", heads: k.heads, tokens: k.tokens), living: living)
            }
            return try StepInput(
                shape, layer: layer, queries: q.view("queries"), keys: k.view("keys"),
                values: needs.contains(.values) ? v.view("values") : nil)
        }
    }

    /// By logits (Hq, m, n) in place of queries and keys.
    func step(
        layer: Int, slot: UnsafeMutablePointer<Int32>, logits: Tensor, _ v: some Viewable
    ) throws(KVSieveError) {
        let shape = shape
        try step(layer: layer, slot: slot) { (needs, living) throws(KVSieveError) in
            if needs.contains(.length) {
                let size = try TensorShape("logits", heads: logits.heads, tokens: logits.tokens)
                return try StepInput(shape, layer: layer, logits: size, rows: logits.dim)
            }
            return try StepInput(
                shape, layer: layer, logits: logits.view("logits"),
                values: needs.contains(.values) ? v.view("values") : nil)
        }
    }
}

extension SplitMix {
    /// Roughly normal, in 64ths of numbers below 8 in size.
    mutating func sixtyFourths() -> Int {
        var sum = -4 * 127
        for _ in 0..<4 { sum += Int(next() >> 56) }
        return sum / 3
    }
}

/// Queries, keys and values of every layer as floats, before they are laid out.
struct Sequence {
    var shape: ModelShape
    var tokens: Int
    /// Rows of queries: T, but for golden files.
    var rows: Int
    var queries: [[Float]] = []
    var keys: [[Float]] = []
    var values: [[Float]] = []

    /// A sequence without tensors yet.
    init(_ shape: ModelShape, tokens: Int, rows: Int? = nil) {
        (self.shape, self.tokens, self.rows) = (shape, tokens, rows ?? tokens)
    }

    /// Values are rounded to 5 bits so that every dtype holds them exactly.
    init(_ shape: ModelShape, tokens: Int, seed: UInt64) {
        self.init(shape, tokens: tokens)
        var noise = SplitMix(seed)
        func many(_ count: Int) -> [Float] {
            [Float](unsafeUninitializedCapacity: count) { numbers, filled in
                for index in 0..<count {
                    let sixtyFourths = noise.sixtyFourths()
                    // Halves go away from zero.
                    let eighths = (abs(sixtyFourths) + 4) / 8
                    numbers[index] = Float(sixtyFourths < 0 ? -eighths : eighths) / 8
                }
                filled = count
            }
        }
        for _ in 0..<shape.layers {
            queries.append(many(shape.queryHeads * rows * shape.headDim))
            keys.append(many(shape.heads * tokens * shape.headDim))
            values.append(many(shape.heads * tokens * shape.headDim))
        }
    }

    /// Multiples of 1/4 below 8: exact in bfloat16 too.
    mutating func coarsen() {
        func coarse(_ numbers: [Float]) -> [Float] { numbers.map { ($0 * 4).rounded() / 4 } }
        for layer in 0..<shape.layers {
            queries[layer] = coarse(queries[layer])
            keys[layer] = coarse(keys[layer])
            values[layer] = coarse(values[layer])
        }
    }

    func tensors(
        _ layer: Int, _ type: ElementType = .float32, _ layout: Layout = .headMajor
    ) -> (queries: Tensor, keys: Tensor, values: Tensor) {
        func make(_ values: [Float], _ heads: Int, _ tokens: Int) -> Tensor {
            Tensor(values, heads: heads, tokens: tokens, dim: shape.headDim, type, layout)
        }
        return (
            make(queries[layer], shape.queryHeads, rows), make(keys[layer], shape.heads, tokens),
            make(values[layer], shape.heads, tokens)
        )
    }

    func observe(
        _ plan: Plan, layer: Int, _ type: ElementType = .float32, _ layout: Layout = .headMajor
    ) throws {
        let (q, k, v) = tensors(layer, type, layout)
        try plan.observe(layer: layer, q, k, v)
    }

    /// Observes layer after layer. `watch` is called after each with the plan.
    func observe(
        _ plan: Plan, _ type: ElementType = .float32, _ layout: Layout = .headMajor,
        watch: (Plan, Int) throws -> Void = { _, _ in }
    ) throws {
        for layer in 0..<shape.layers {
            try observe(plan, layer: layer, type, layout)
            try watch(plan, layer)
        }
    }

    /// A finished plan's positions, [layer][head].
    func kept(
        _ method: AnyMethod, _ parameters: [String: Double] = [:], _ type: ElementType = .float32,
        _ layout: Layout = .headMajor, protect: [Range<Int>] = []
    ) throws -> [[[Int]]] {
        let plan = try method.plan(shape, parameters)
        for range in protect { try plan.protect(first: range.lowerBound, count: range.count) }
        try observe(plan, type, layout)
        try plan.finish()
        return try positions(plan)
    }
}

extension ElementType: CustomTestStringConvertible {
    public var testDescription: String { name }
}

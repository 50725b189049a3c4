// A decoding step beside the attention of the same token: one query a query head over C + 1 rows, products by the BLAS.
import CSupport
import KVSieveCore

/// One layer's cache, (8, C + 1, 128) keys and values.
private struct Cache {
    let keys: TensorView
    let values: TensorView

    init(_ shape: ModelShape, rows: Int, seed: UInt64) throws {
        let count = shape.heads * rows * shape.headDim
        keys = try Memory(count, seed: seed).view("keys", heads: shape.heads, tokens: rows)
        values = try Memory(count, seed: seed + 1).view("values", heads: shape.heads, tokens: rows)
    }
}

/// softmax(q K^T) V of one token. The logits are (Hq, 1, n), as a step takes them.
private final class Attention {
    private let products: Products
    private let shape: ModelShape
    private let rows: Int
    private let packed: Memory
    private let columns: Memory
    private let weights: Memory
    private let out: Memory
    let logits: Memory

    init(_ shape: ModelShape, rows: Int) throws {
        self.shape = shape
        self.rows = rows
        products = try Products()
        packed = try Memory(shape.queryHeads * shape.headDim, seed: 51)
        columns = try Memory(shape.group * rows, seed: 52)
        weights = try Memory(shape.group * rows, seed: 53)
        out = try Memory(shape.queryHeads * shape.headDim, seed: 54)
        logits = try Memory(shape.queryHeads * rows, seed: 55)
    }

    func run(_ cache: Cache) {
        let (group, dim) = (shape.group, shape.headDim)
        for head in 0..<shape.heads {
            let keys = UnsafePointer(cache.keys.row(head, 0).assumingMemoryBound(to: Float.self))
            let values = UnsafePointer(cache.values.row(head, 0).assumingMemoryBound(to: Float.self))
            products.multiply(
                keys, rows: rows, stride: dim, depth: dim, packed.floats + head * group * dim, columns: group,
                into: columns.floats)
            for row in 0..<group {
                let z = logits.floats + (head * group + row) * rows
                let p = weights.floats + row * rows
                for j in 0..<rows { z[j] = columns.floats[j &* group &+ row] * shape.scale }
                let sum = kernels.row_exponentials(z, Int64(rows), kernels.row_maximum(z, Int64(rows)), 1, p)
                for j in 0..<rows { p[j] /= sum }
            }
            products.multiply(
                weights.floats, rows: group, stride: rows, depth: rows, values, columns: dim,
                into: out.floats + head * group * dim)
        }
    }
}

/// Steps by a sum of rows, by one that is pooled over neighbours (A12), and by the newest row.
private let stepped: [(String, [String: Double])] = [
    ("ahakv", [:]), ("ahakv", ["score_kernel": 7]), ("ahakv", ["score_kernel": 15]), ("h2o", [:]), ("tova", [:]),
]

func steps(_ options: Options) throws {
    let layers = 8
    title(8, "Decoding: one token a step, \(layers) layers, 8 KV heads, D 128, f32, CPU us a layer")
    note(
        "Attention is that token's own, by the BLAS, before each step; shares are of it. With the attention's logits a step"
            + " need not read the keys again.")
    var table = Table("method", "query heads", "C", "attention", "step, logits", "share", "step, product", "share")
    for queryHeads in [8, 32] {
        let shape = try ModelShape(layers: layers, queryHeads: queryHeads, heads: 8, headDim: 128)
        for budget in options.quick ? [1024] : [1024, 2048, 4096] {
            for (method, settings) in stepped {
                let (attention, byLogits, byProduct) = try measure(
                    method, settings, shape, budget, options.quick ? 20 : 60)
                let kernel = settings["score_kernel"].map { ", score_kernel \(Int($0))" } ?? ""
                table.add(
                    method + kernel, "\(queryHeads)", grouped(budget), microseconds(median(attention)),
                    microseconds(median(byLogits)), percent(byLogits, attention), microseconds(median(byProduct)),
                    percent(byProduct, attention))
                Memory.endSection()
            }
        }
    }
    table.show()
}

private func microseconds(_ seconds: Double) -> String { fixed(seconds * 1e6, 0) }

private func percent(_ part: [Double], _ whole: [Double]) -> String { "\(fixed(medianRatio(part, whole) * 100, 1)) %" }

/// Seconds a layer, a sample a token. Tokens by logits and by product take turns.
private func measure(
    _ method: String, _ settings: [String: Double], _ shape: ModelShape, _ budget: Int, _ tokens: Int
) throws -> (attention: [Double], byLogits: [Double], byProduct: [Double]) {
    let rows = budget + 1
    let plan = try makePlan(
        method, shape, ["budget": Double(budget), "decoding": 1].merging(settings) { $1 })
    let caches = try (0..<shape.layers).map { try Cache(shape, rows: rows, seed: UInt64(61 + 2 * $0)) }
    let prompt = try Memory(shape.queryHeads * budget * shape.headDim, seed: 60)
    for (layer, cache) in caches.enumerated() {
        try plan.observe(
            layer, prompt.view("queries", heads: shape.queryHeads, tokens: budget),
            TensorView(
                "keys", base: cache.keys.base, heads: shape.heads, tokens: budget, dim: shape.headDim,
                headStride: cache.keys.headStride, tokenStride: cache.keys.tokenStride, type: .float32),
            TensorView(
                "values", base: cache.values.base, heads: shape.heads, tokens: budget, dim: shape.headDim,
                headStride: cache.values.headStride, tokenStride: cache.values.tokenStride, type: .float32))
    }
    try plan.finish()
    let attention = try Attention(shape, rows: rows)
    let query = try prompt.view("queries", heads: shape.queryHeads, tokens: 1)
    let logits = try attention.logits.view("logits", heads: shape.queryHeads, tokens: 1, dim: rows)
    let slot = UnsafeMutablePointer<Int32>.allocate(capacity: shape.heads)
    defer { slot.deallocate() }
    var series: [[Double]] = [[], [], []]
    for token in 0..<(2 * tokens + 8) {
        let product = token % 2 == 1
        var (own, step) = (0.0, 0.0)
        for (layer, cache) in caches.enumerated() {
            let begin = Instant.processor()
            attention.run(cache)
            let attended = Instant.processor()
            try plan.step(layer: layer, slot: slot) { (needs, _) throws(KVSieveError) in
                product
                    ? try StepInput(
                        shape, layer: layer, queries: query, keys: cache.keys,
                        values: needs.contains(.values) ? cache.values : nil)
                    : try StepInput(
                        shape, layer: layer, logits: logits, values: needs.contains(.values) ? cache.values : nil)
            }
            own += attended - begin
            step += Instant.processor() - attended
        }
        guard token >= 8 else { continue }
        series[product ? 2 : 1].append(step / Double(shape.layers))
        if !product { series[0].append(own / Double(shape.layers)) }
    }
    return (series[0], series[1], series[2])
}

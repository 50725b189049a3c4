// A layer whose attention the engine gives: what is left to do, beside reading the numbers once.
import CSupport
import KVSieveCore

func given(_ options: Options) throws {
    let tokens = options.quick ? 8192 : 32_768
    title(10, "Attention given: one layer of 8 KV heads, 32 query heads, T \(grouped(tokens)), 1,024 rows kept, CPU ms")
    note(
        "snapkv, pool_kernel 7; observe, finish and reset. From memory: 256 MiB of layers in turns, so that the numbers of each"
            + " are new, as an engine hands them; from a cache: one layer again and again. Equal: in steps of 1/16, so that many"
            + " scores are equal. Reading is the maximum of the numbers; of logits it is that and the exponentials of every row."
            + " Medians; ratios in turns.")
    let shape = try layerShape()
    let plan = try makePlan("snapkv", shape, ["budget": 1024, "window": 32])
    var table = Table("given", "numbers", "from", "observe, finish", "reading once", "ratio")
    func add(_ given: String, _ numbers: String, _ source: String, _ series: [Series]) {
        table.add(
            given, numbers, source, milliseconds(median(series[0].cpu)), milliseconds(median(series[1].cpu)),
            fixed(medianRatio(series[0].cpu, series[1].cpu), 2))
    }
    let sums = try GivenLayers(.columnSums, heads: shape.heads, rows: 1, tokens, bytes: 256 << 20, seed: 71)
    for index in 0..<sums.count { sums.floats[index] = abs(sums.floats[index]) }
    for numbers in ["random", "equal"] {
        if numbers == "equal" {
            for index in 0..<sums.count { sums.floats[index] = (sums.floats[index] * 16).rounded() / 16 }
        }
        let samples = options.quick ? 64 : 512
        add("column sums", numbers, "memory", try sums.beside(plan, sums.layers, samples) { sums.maxima(of: $0) })
        add("column sums", numbers, "a cache", try sums.beside(plan, 1, samples) { sums.maxima(of: $0) })
    }
    let logits = try GivenLayers(.logits, heads: shape.queryHeads, rows: 32, tokens, bytes: 0, seed: 72)
    let scratch = try Memory(tokens, seed: 73)
    let series = try logits.beside(plan, 1, options.count(tokens) * 3) { layer in
        for row in 0..<logits.rowsOfLayer {
            let numbers = logits.row(row, of: layer)
            let most = kernels.row_maximum(numbers, Int64(tokens))
            _ = kernels.row_exponentials(numbers, Int64(tokens), most, 1, scratch.floats)
        }
    }
    add("logits", "random", "memory", series)
    table.show()
}

/// As many layers as fill some bytes, one at least.
private struct GivenLayers {
    let layers: Int
    let rowsOfLayer: Int
    private let kind: GivenAttention.Kind
    private let tokens: Int
    private let memory: Memory
    private let views: [TensorView]

    init(_ kind: GivenAttention.Kind, heads: Int, rows: Int, _ tokens: Int, bytes: Int, seed: UInt64) throws {
        let numbers = heads * rows * tokens
        layers = max(1, bytes / (4 * numbers))
        rowsOfLayer = heads * rows
        self.kind = kind
        self.tokens = tokens
        let memory = try Memory(layers * numbers, .float32, seed: seed)
        self.memory = memory
        views = try (0..<layers).map { layer in
            try TensorView(
                "given", base: memory.start + 4 * layer * numbers, heads: heads, tokens: rows, dim: tokens,
                headStride: 4 * rows * tokens, tokenStride: 4 * tokens, type: .float32)
        }
    }

    var count: Int { layers * rowsOfLayer * tokens }
    var floats: UnsafeMutablePointer<Float> { memory.floats }

    func row(_ row: Int, of layer: Int) -> UnsafeMutablePointer<Float> {
        floats + (layer * rowsOfLayer + row) * tokens
    }

    func maxima(of layer: Int) {
        for index in 0..<rowsOfLayer { _ = kernels.row_maximum(row(index, of: layer), Int64(tokens)) }
    }

    /// The plan's work on a layer beside the reading of one, the first `layers` in turns.
    func beside(_ plan: Plan, _ layers: Int, _ samples: Int, _ read: (_ layer: Int) -> Void) throws -> [Series] {
        var layer = 0
        return try withoutActuallyEscaping(read) { read in
            try inTurns(
                samples, before: { layer = (layer + 1) % layers },
                [
                    {
                        plan.reset()
                        try plan.observe(layer: 0) { (_) throws(KVSieveError) in
                            LayerTensors(attention: GivenAttention(kind, views[layer]), values: nil)
                        }
                        try plan.finish()
                    }, { read(layer) },
                ])
        }
    }
}

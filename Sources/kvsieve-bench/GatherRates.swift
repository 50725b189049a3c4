// Gather alone, beside memcpy of as many bytes. A plan of small keys chooses the rows; rows of any width are then gathered.
import KVSieveCore

func gatherRates(_ options: Options) throws {
    let tokens = 65_536
    let heads = 8
    let kept = tokens / 4
    title(7, "Gather: 25 % of \(grouped(tokens)) rows a head, \(heads) heads, at random")
    note(
        "GB/s of bytes copied, wall, in turns, caches swept before each. Same rows: a memcpy each. One memcpy: of as many bytes"
            + " in one piece, which no row of a page has to be looked up for."
    )
    // Sixteen numbers a key, one query, no pooling: which tokens win is chance, and each head keeps a quarter.
    let shape = try ModelShape(layers: 1, queryHeads: heads, heads: heads, headDim: 16)
    let plan = try makePlan(
        "dynamickv", shape, ["budget": Double(kept), "window": 1, "pool_kernel": 1, "cap": 1])
    let queries = try Memory(heads * 16, seed: 51)
    let keys = try Memory(heads * tokens * 16, seed: 52)
    try plan.observe(layer: 0) { (_) throws(KVSieveError) in
        LayerTensors(
            queries: try TensorView(
                "queries", base: queries.start, heads: heads, tokens: 1, dim: 16, headStride: 64, tokenStride: 64,
                type: .float32),
            keys: try TensorView(
                "keys", base: keys.start, heads: heads, tokens: tokens, dim: 16, headStride: tokens * 64,
                tokenStride: 64, type: .float32))
    }
    try plan.finish()
    let selection = try plan.kept(layer: 0)
    let rows = (0..<heads).map { selection.copy($0) }
    let widths = [128, 256, 512, 1024]
    let most = (widths.max() ?? 0) / 4
    let memory = try Memory(heads * tokens * most, seed: 53)
    let copied = try Memory(heads * kept * most, seed: 54)
    let caches = try Memory((64 << 20) / 4, seed: 55)
    var table = Table("row bytes", "MiB", "layout", "gather", "same rows", "ratio", "one memcpy", "ratio")
    for width in widths {
        for layout in Layout.allCases {
            let source = try memory.view("source", heads: heads, tokens: tokens, dim: width / 4, .float32, layout)
            let target = try copied.view("target", heads: heads, tokens: kept, dim: width / 4)
            let bytes = heads * kept * width
            let series = try inTurns(
                options.quick ? 5 : 15, before: { caches.sweep() },
                [
                    { try plan.gather(layer: 0, source: source, target: target) },
                    { copyRows(source, rows, to: target) },
                    { copy(memory.start, to: copied.start, bytes) },
                ])
            table.add(
                "\(width)", "\(bytes >> 20)", layout.rawValue, billions(bytes, median(series[0].wall)),
                billions(bytes, median(series[1].wall)), fixed(medianRatio(series[1].wall, series[0].wall), 2),
                billions(bytes, median(series[2].wall)), fixed(medianRatio(series[2].wall, series[0].wall), 2))
        }
    }
    table.show()
}

/// The same rows, each by a call of memcpy: what the gather adds to it is what it costs.
private func copyRows(_ source: TensorView, _ rows: [[Int]], to target: TensorView) {
    for head in 0..<source.heads {
        for (index, position) in rows[head].enumerated() {
            copy(source.row(head, position), to: target.row(head, index), source.rowBytes)
        }
    }
}

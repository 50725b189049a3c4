// A layer whose attention the engine gives: what is left to do, beside reading the numbers once.
import CSupport
import KVSieveCore

func given(_ options: Options) throws {
    let tokens = options.quick ? 8192 : 32_768
    title(10, "Attention given: one layer of 8 KV heads, 32 query heads, T \(grouped(tokens)), 1,024 rows kept, CPU ms")
    note(
        "snapkv, pool_kernel 7; observe, finish and reset. Reading is the maximum of the numbers; of logits it is that and the"
            + " exponentials of every row. Ratios in turns.")
    let shape = try layerShape()
    let sums = try Memory(shape.heads * tokens, .float32, seed: 71)
    for index in 0..<shape.heads * tokens { sums.floats[index] = abs(sums.floats[index]) }
    let rows = 32
    let logits = try Memory(shape.queryHeads * rows * tokens, .float32, seed: 72)
    let scratch = try Memory(tokens, seed: 73)
    let plan = try makePlan("snapkv", shape, ["budget": 1024, "window": Double(rows)])
    let cases: [(name: String, kind: GivenAttention.Kind, view: TensorView, read: () -> Void)] = [
        (
            "column sums", .columnSums, try sums.view("sums", heads: shape.heads, tokens: 1, dim: tokens, .float32),
            { for head in 0..<shape.heads { _ = kernels.row_maximum(sums.floats + head * tokens, Int64(tokens)) } }
        ),
        (
            "logits", .logits,
            try logits.view("logits", heads: shape.queryHeads, tokens: rows, dim: tokens, .float32),
            {
                for row in 0..<shape.queryHeads * rows {
                    let numbers = logits.floats + row * tokens
                    let most = kernels.row_maximum(numbers, Int64(tokens))
                    _ = kernels.row_exponentials(numbers, Int64(tokens), most, 1, scratch.floats)
                }
            }
        ),
    ]
    var table = Table("given", "observe, finish", "reading once", "ratio")
    for each in cases {
        let series = try inTurns(
            options.count(tokens) * 3,
            [
                {
                    plan.reset()
                    try plan.observe(layer: 0) { (_) throws(KVSieveError) in
                        LayerTensors(attention: GivenAttention(each.kind, each.view), values: nil)
                    }
                    try plan.finish()
                }, each.read,
            ])
        table.add([
            each.name, milliseconds(median(series[0].cpu)), milliseconds(median(series[1].cpu)),
            fixed(medianRatio(series[0].cpu, series[1].cpu), 2),
        ])
    }
    table.show()
}

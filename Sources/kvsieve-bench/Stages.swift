// Stage by stage: the kernels as StageWork calls them, and the plan's own finish and gather.
import KVSieveCore

func stages(_ options: Options) throws {
    let tokens = options.quick ? 16_384 : 32_768
    title(3, "Stage by stage: the same layer at T \(grouped(tokens)), head-major, CPU")
    note(
        "Bytes are those read and written, gather's those copied. Select is finish(). The last line is measured by itself;"
            + " what it has beyond the sum is packing, masks, joins, and the first division of the budget.")
    let shape = try layerShape()
    let types: [ElementType] = [.float32, .bfloat16]
    let memory = try LayerMemory(shape, mostTokens: tokens, types: types)
    let work = try StageWork(shape, tokens: tokens)
    let plan = try layerPlan(shape)
    let measured = try types.map { type in
        try StageSamples(options.count(tokens), work, plan, try memory.layer(tokens, type))
    }
    let keyNumbers = shape.heads * tokens * shape.headDim
    let logits = shape.queryHeads * LayerMemory.window * tokens
    let columns = shape.heads * tokens
    let kept = 2 * shape.heads * 1024 * shape.headDim
    var table = Table("stage", "f32 ms", "rate", "bf16 ms", "rate")
    func add(_ stage: String, _ unit: String, _ amounts: [Int], _ times: KeyPath<StageSamples, [Double]>) {
        let seconds = measured.map { median($0[keyPath: times]) }
        let cells = zip(seconds, amounts).map { seconds, amount in
            amount == 0 ? ("-", "-") : (milliseconds(seconds), "\(billions(amount, seconds)) \(unit)")
        }
        table.add(stage, cells[0].0, cells[0].1, cells[1].0, cells[1].1)
    }
    add("widen", "GB/s", [0, keyNumbers * 6], \.widen)
    add("product", "GFLOP/s", twice(2 * logits * shape.headDim), \.product)
    add("exponentials", "G/s", twice(logits), \.exponentials)
    add("column sums", "GB/s", twice(4 * logits), \.sums)
    add("scale, pool", "GB/s", twice(16 * columns), \.pool)
    add("select", "G scores/s", twice(columns), \.select)
    add("gather", "GB/s", [kept * 4, kept * 2], \.gather)
    table.add("sum", milliseconds(median(measured[0].sum)), "", milliseconds(median(measured[1].sum)), "")
    table.add(
        "observe, finish, gather", milliseconds(median(measured[0].whole)), "",
        milliseconds(median(measured[1].whole)), "")
    table.show()
}

private func twice(_ amount: Int) -> [Int] { [amount, amount] }

/// CPU seconds, one number a repetition.
private struct StageSamples {
    private(set) var widen: [Double] = []
    private(set) var product: [Double] = []
    private(set) var exponentials: [Double] = []
    private(set) var sums: [Double] = []
    private(set) var pool: [Double] = []
    private(set) var select: [Double] = []
    private(set) var gather: [Double] = []
    private(set) var sum: [Double] = []
    private(set) var whole: [Double] = []

    init(_ count: Int, _ work: StageWork, _ plan: Plan, _ layer: Layer) throws {
        _ = work.run(layer.keys)
        try layer.run(plan)
        for _ in 0..<count {
            let times = work.run(layer.keys)
            plan.reset()
            let begin = Instant.processor()
            try plan.observe(0, layer.queries, layer.keys, layer.values)
            let observed = Instant.processor()
            try plan.finish()
            let finished = Instant.processor()
            try plan.gather(layer: 0, source: layer.keys, target: layer.targets[0])
            try plan.gather(layer: 0, source: layer.values, target: layer.targets[1])
            let gathered = Instant.processor()
            widen.append(times.widen)
            product.append(times.product)
            exponentials.append(times.exponentials)
            sums.append(times.sums)
            pool.append(times.pool)
            select.append(finished - observed)
            gather.append(gathered - finished)
            sum.append(
                times.widen + times.product + times.exponentials + times.sums + times.pool + gathered - observed)
            whole.append(gathered - begin)
        }
    }
}

// Stage by stage: the kernels as StageWork calls them, and the plan's own finish and gather.
import KVSieveCore

func stages(_ options: Options) throws {
    let tokens = options.quick ? 16_384 : 32_768
    title(3, "Stage by stage: the same layer at T \(grouped(tokens)), head-major, CPU")
    note(
        "Bytes are those read and written (column sums: read; gather: copied). Select is finish(). The last line is measured"
            + " by itself; what it has beyond the sum is packing, masks, joins, and the first division of the budget.")
    let shape = try layerShape()
    let types = typeNames.map(\.type)
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
    var table = Table("stage", "f32 ms", "rate", "f16 ms", "rate", "bf16 ms", "rate")
    func same(_ amount: Int) -> [Int] { types.map { _ in amount } }
    func add(_ stage: String, _ unit: String, _ amounts: [Int], _ times: KeyPath<StageSamples, [Double]>) {
        let seconds = measured.map { median($0[keyPath: times]) }
        let cells = zip(seconds, amounts).flatMap { seconds, amount in
            amount == 0 ? ["-", ""] : [milliseconds(seconds), "\(billions(amount, seconds)) \(unit)"]
        }
        table.add([stage] + cells)
    }
    add("widen", "GB/s", types.map { work.widens($0) ? keyNumbers * 6 : 0 }, \.widen)
    add("product", "GFLOP/s", same(2 * logits * shape.headDim), \.product)
    add("exponentials", "G/s", same(logits), \.exponentials)
    add("column sums", "GB/s", same(4 * logits), \.sums)
    add("scale, pool", "GB/s", same(16 * columns), \.pool)
    add("select", "G/s", same(columns), \.select)
    add("gather", "GB/s", types.map { kept * $0.size }, \.gather)
    table.add(["sum"] + measured.flatMap { [milliseconds(median($0.sum)), ""] })
    table.add(["observe, finish, gather"] + measured.flatMap { [milliseconds(median($0.whole)), ""] })
    table.show()
}
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

// The four methods with their default parameters over some layers, and what DynamicKV's divisions of the budget cost.
import KVSieveCore
import KVSieveMethods

/// Layers of one sequence: keys and values are the same memory in all of them, queries differ.
private struct Sequence {
    let shape: ModelShape
    let tokens: Int
    let keys: TensorView
    let values: TensorView
    private let queries: Memory
    private let memory: [Memory]

    init(layers: Int, tokens: Int) throws {
        shape = try layerShape(layers: layers)
        self.tokens = tokens
        let count = shape.heads * tokens * shape.headDim
        memory = [try Memory(count, seed: 41), try Memory(count, seed: 42)]
        queries = try Memory((shape.queryHeads + layers) * LayerMemory.window * shape.headDim, seed: 43)
        keys = try memory[0].view("keys", heads: shape.heads, tokens: tokens)
        values = try memory[1].view("values", heads: shape.heads, tokens: tokens)
    }

    /// A layer's queries begin a head further on than those of the layer before.
    func queries(_ layer: Int, window: Int) throws -> TensorView {
        let row = shape.headDim * 4
        return try TensorView(
            "queries", base: queries.start + layer * window * row, heads: shape.queryHeads, tokens: window,
            dim: shape.headDim, headStride: window * row, tokenStride: row, type: .float32)
    }
}

func methods(_ options: Options) throws {
    let tokens = options.quick ? 8192 : 16_384
    let layers = 8
    title(6, "Methods: T \(grouped(tokens)), \(layers) layers, f32, head-major, default parameters, CPU ms")
    note(
        "Observe, gather (keys and values, a head a row) and the tokens kept a head are means of the layers; finish is of the"
            + " whole sequence. WindowKV scores one layer of eight. H2O is left out: its cost grows with T^2.")
    let sequence = try Sequence(layers: layers, tokens: tokens)
    let target = try Memory(sequence.shape.heads * tokens * sequence.shape.headDim, seed: 44)
        .view("target", heads: sequence.shape.heads, tokens: tokens)
    var table = Table("method", "W", "observe", "finish", "gather", "GB/s", "kept")
    let queries = try (0..<layers).map { try sequence.queries($0, window: 32) }
    for row in Registry.rows where "\(row.name)" != "h2o" {
        let plan = try makePlan("\(row.name)", sequence.shape)
        let window = try row.parameters.first { $0.id == Shared.window.id }.map { try plan.get($0.id) } ?? 1
        var observe: [Double] = []
        var finish: [Double] = []
        var gather: [Double] = []
        for round in 0...(options.quick ? 3 : 7) {
            plan.reset()
            let begin = Instant.processor()
            for layer in 0..<layers { try plan.observe(layer, queries[layer], sequence.keys, sequence.values) }
            let observed = Instant.processor()
            try plan.finish()
            let finished = Instant.processor()
            for layer in 0..<layers {
                try plan.gather(layer: layer, source: sequence.keys, target: target)
                try plan.gather(layer: layer, source: sequence.values, target: target)
            }
            let gathered = Instant.processor()
            if round == 0 { continue }
            observe.append((observed - begin) / Double(layers))
            finish.append(finished - observed)
            gather.append((gathered - finished) / Double(layers))
        }
        let kept = try (0..<layers).reduce(0) { try $0 + plan.kept(layer: $1).total }
        table.add(
            "\(row.name)", "\(Int(window))", milliseconds(median(observe)), milliseconds(median(finish)),
            milliseconds(median(gather)),
            billions(2 * kept / layers * sequence.shape.headDim * 4, median(gather)),
            grouped(kept / layers / sequence.shape.heads))
    }
    table.show()
    try updates(options, tokens)
}

/// Layers that divide the budget do what the others do and the division: its cost is what they take beyond the median of the
/// others in the same pass, which the machine's noise hits alike.
private func updates(_ options: Options, _ tokens: Int) throws {
    let layers = 32
    let window = 8
    let every = 4
    note(
        "DynamicKV's divisions of the budget, \(layers) layers, W \(window), one after every \(every) layers, CPU ms a pass:"
    )
    let sequence = try Sequence(layers: layers, tokens: tokens)
    let plan = try makePlan("dynamickv", sequence.shape, ["window": Double(window), "every": Double(every)])
    let queries = try (0..<layers).map { try sequence.queries($0, window: window) }
    var passes: [[Double]] = []
    for round in 0...(options.quick ? 2 : 9) {
        plan.reset()
        var times: [Double] = []
        for layer in 0..<layers {
            let begin = Instant.processor()
            try plan.observe(layer, queries[layer], sequence.keys, sequence.values)
            times.append(Instant.processor() - begin)
        }
        if round > 0 { passes.append(times) }
    }
    func divides(_ layer: Int) -> Bool { layer % every == every - 1 }
    let scoring = passes.map { pass in median((0..<layers).filter { !divides($0) }.map { pass[$0] }) }
    let divisions = zip(passes, scoring).map { pass, one in
        (0..<layers).filter(divides).reduce(0) { $0 + pass[$1] - one }
    }
    let last = zip(passes, scoring).map { $0[layers - 1] - $1 }
    let share = zip(divisions, scoring).map { $0 / ($1 * Double(layers)) }
    var table = Table("T", "one layer's scores", "\(layers) layers' scores", "divisions", "the last of them", "share")
    table.add(
        grouped(tokens), milliseconds(median(scoring)), milliseconds(median(scoring) * Double(layers)),
        milliseconds(median(divisions)), milliseconds(median(last)), "\(fixed(median(share) * 100, 1)) %")
    table.show()
}

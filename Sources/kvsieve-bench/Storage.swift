// The same layer in blocks of a table and in narrow types, beside contiguous float32: observe and the gather of keys.
import KVSieveCore

func storage(_ options: Options) throws {
    let tokens = options.quick ? 8192 : 32_768
    title(9, "Blocks and narrow types: one layer of 8 KV heads, T \(grouped(tokens)), CPU ms")
    note(
        "Blocks of 16 tokens in a shuffled table, (blocks, block, H, D) or (blocks, H, block, D). Ratios are to contiguous"
            + " rows of the same order (of float16: to the type's), in turns. A gather has 1,024 rows a head.")
    var table = Table("type", "layout", "observe, 128 rows", "ratio", "observe, 8 rows", "ratio", "gather", "ratio")
    for type in [ElementType.float32, .float16, .bfloat16, .float8e4m3, .float8e5m2, .q8, .q4] {
        let cache = try StoredKeys(tokens, type)
        let windows = [32, 2]
        let plans = try windows.map {
            try makePlan("dynamickv", cache.shape, ["budget": 1024, "window": Double($0), "cap": 1])
        }
        let observed = try zip(plans, windows).map { plan, window in
            let queries = try cache.queries(window)
            return try inTurns(
                options.count(tokens),
                cache.keys.map { keys in
                    {
                        plan.reset()
                        try plan.observe(0, queries, keys, keys)
                    }
                })
        }
        try plans[0].finish()
        let gathered = try inTurns(
            options.quick ? 9 : 25, before: { cache.caches.sweep() },
            zip(cache.keys, cache.targets).map { keys, target in
                { try plans[0].gather(layer: 0, source: keys, target: target) }
            })
        for (index, name) in cache.names.prefix(cache.keys.count).enumerated() {
            let cells = (observed + [gathered]).flatMap { series in
                [milliseconds(median(series[index].cpu)), fixed(medianRatio(series[index].cpu, series[name.1].cpu), 2)]
            }
            table.add([type.name, name.0] + cells)
        }
        Memory.endSection()
    }
    table.show()
    try coarseKeys(options)
}

/// One cache in both orders, contiguous and in blocks of 16, and as float16.
private struct StoredKeys {
    /// Each with the index of what its time is divided by.
    let names = [
        ("head-major", 0), ("token-major", 1), ("blocks, token-major", 1), ("blocks, head-major", 0),
        ("float16, head-major", 0),
    ]
    let shape: ModelShape
    let keys: [TensorView]
    let targets: [TensorView]
    let caches: Memory
    private let queries: Memory
    private let queryType: ElementType

    init(_ tokens: Int, _ type: ElementType) throws {
        shape = try layerShape()
        let (heads, dim, block) = (shape.heads, shape.headDim, 16)
        let row = type.rowBytes(dim)
        let memory = try Memory(heads * tokens * dim, type, seed: 61)
        let pool = try Memory(heads * tokens * dim, type, seed: 61)
        let halves = try Memory(heads * tokens * dim, .float16, seed: 61)
        let entries = try Memory(tokens / block, seed: 62)
        let table = entries.start.assumingMemoryBound(to: Int32.self)
        var random = SplitMix64(63)
        for index in 0..<tokens / block { table[index] = Int32(index) }
        for index in 0..<tokens / block {
            let other = index + Int(random.next() % UInt64(tokens / block - index))
            (table[index], table[other]) = (table[other], table[index])
        }
        func paged(head: Int, token: Int) throws -> TensorView {
            try TensorView(
                "keys", base: pool.start, heads: heads, tokens: tokens, dim: dim, headStride: head, tokenStride: token,
                type: type,
                pages: PagedTokens(entries: table, stride: block * heads * row, tokens: block, blocks: tokens / block))
        }
        keys =
            [
                try memory.view("keys", heads: heads, tokens: tokens, dim: dim, type),
                try memory.view("keys", heads: heads, tokens: tokens, dim: dim, type, .tokenMajor),
                try paged(head: row, token: heads * row), try paged(head: block * row, token: row),
            ] + (type == .float16 ? [] : [try halves.view("keys", heads: heads, tokens: tokens, dim: dim, .float16)])
        targets = try keys.map { keys in
            try Memory(heads * 1024 * dim, keys.type, seed: 64).view(
                "target", heads: heads, tokens: 1024, dim: dim, keys.type)
        }
        // Pairs of bfloat16 are multiplied as they are if queries have them too.
        queryType = type == .bfloat16 ? type : .float32
        queries = try Memory(shape.queryHeads * 32 * dim, queryType, seed: 65)
        caches = try Memory((64 << 20) / 4, seed: 66)
    }

    func queries(_ window: Int) throws -> TensorView {
        try queries.view("queries", heads: shape.queryHeads, tokens: window, dim: shape.headDim, queryType)
    }
}

// One layer from the caller's tensors to compacted ones, beside its bare products; and how the time grows with T.
import KVSieveCore

func oneLayer(_ options: Options) throws {
    title(2, "One layer: 32 query heads, 8 KV heads, D 128, W 32, 1,024 kept a head")
    note(
        "Observe, finish and the gathers of keys and values, beside the 8 products (T x 128) (128 x 128) alone by the BLAS,"
            + " float32 keys of the same layout. In turns; medians; the ratio is of CPU times.")
    let lengths = options.quick ? [4096, 16_384] : [4096, 16_384, 32_768, 131_072]
    let most = lengths.max() ?? 0
    let shape = try layerShape()
    let memory = try LayerMemory(shape, mostTokens: most, types: typeNames.map(\.type))
    let bare = try BareProducts(try Products(), shape, window: LayerMemory.window, mostTokens: most)
    let plan = try layerPlan(shape)
    var table = Table("T", "keys", "layout", "CPU ms", "wall ms", "products CPU ms", "wall ms", "ratio")
    for tokens in lengths {
        for (type, name) in typeNames {
            for layout in Layout.allCases {
                let layer = try memory.layer(tokens, type, layout)
                let floats = try memory.layer(tokens, .float32, layout)
                let series = try inTurns(
                    options.count(tokens), [{ try layer.run(plan) }, { bare.run(floats.keys) }])
                table.add(
                    grouped(tokens), name, layout.rawValue, milliseconds(median(series[0].cpu)),
                    milliseconds(median(series[0].wall)), milliseconds(median(series[1].cpu)),
                    milliseconds(median(series[1].wall)), fixed(medianRatio(series[0].cpu, series[1].cpu), 2))
            }
        }
    }
    table.show()
}

func growth(_ options: Options) throws {
    title(4, "Growth in T: the same layer, head-major, CPU ms per 1,000 tokens")
    note(
        "Lengths in turns, so that each finds its keys in memory and not in a cache. Beside each the share of what 4,096"
            + " tokens take per 1,000: 1.00 is proportional.")
    let lengths = [4096, 8192, 16_384, 32_768] + (options.quick ? [] : [65_536, 131_072])
    let types: [ElementType] = [.float32, .bfloat16]
    let shape = try layerShape()
    let memory = try LayerMemory(shape, mostTokens: lengths.max() ?? 0, types: types)
    let plan = try layerPlan(shape)
    var rates: [[Double]] = []
    for type in types {
        let layers = try lengths.map { try memory.layer($0, type) }
        let bodies = layers.map { layer in { try layer.run(plan) } }
        let series = try inTurns(options.quick ? 3 : 7, bodies)
        rates.append(zip(series, lengths).map { median($0.cpu) / Double($1) * 1000 })
    }
    var table = Table("T", "f32", "of 4,096's", "bf16", "of 4,096's")
    for (index, tokens) in lengths.enumerated() {
        let shares = rates.map { fixed($0[index] / $0[0], 2) }
        table.add(
            grouped(tokens), milliseconds(rates[0][index]), shares[0], milliseconds(rates[1][index]), shares[1])
    }
    table.show()
}

// One thread and two, by the wall: other work on the machine's cores shows here as nowhere else.
import KVSieveCore

func threads(_ options: Options) throws {
    title(5, "Threads: observe and finish of one layer, f32, head-major, wall ms")
    note(
        "32 query heads in both. In turns; the second speed-up is that of the fastest samples. Cores is CPU time by wall time"
            + " with two threads: what is missing to 2 the machine gave to others, or the threads waited.")
    let lengths = options.quick ? [16_384] : [4096, 32_768, 131_072]
    var table = Table("T", "KV heads", "1 thread", "2 threads", "speed-up", "at best", "cores")
    for heads in [8, 1] {
        let shape = try layerShape(heads: heads)
        let memory = try LayerMemory(shape, mostTokens: lengths.max() ?? 0, types: [.float32])
        let plans = try [1, 2].map { try layerPlan(shape, threads: $0) }
        for tokens in lengths {
            let layer = try memory.layer(tokens, .float32)
            let bodies = plans.map { plan in
                {
                    plan.reset()
                    try plan.observe(0, layer.queries, layer.keys, layer.values)
                    try plan.finish()
                }
            }
            let series = try inTurns(options.count(tokens), bodies)
            let least = series.map { $0.wall.min() ?? 0 }
            table.add(
                grouped(tokens), "\(heads)", milliseconds(median(series[0].wall)), milliseconds(median(series[1].wall)),
                fixed(medianRatio(series[0].wall, series[1].wall), 2), fixed(least[0] / least[1], 2),
                fixed(medianRatio(series[1].cpu, series[1].wall), 2))
        }
    }
    table.show()
}

// Keys of Q8_0 multiplied as floats and, with the parameter coarse, as bytes, beside the same layer of float16.
import KVSieveCore

func coarseKeys(_ options: Options) throws {
    let tokens = options.quick ? 8192 : 32_768
    note(
        "Q8_0 keys of a bell's numbers, head-major, as floats and as bytes (coarse 1), beside float16: CPU ms of observe, in turns,"
            + " divided by float16's in brackets; the rows kept (1,024 a head) that are those of Q8_0 as floats.")
    let shape = try layerShape()
    let (heads, dim) = (shape.heads, shape.headDim)
    let numbers = Bell(count: heads * tokens * dim, seed: 71)
    let halves = try Memory(heads * tokens * dim, .float16, seed: 72)
    let blocks = try Memory(heads * tokens * dim, .q8, seed: 72)
    numbers.write(halves: halves, blocks: blocks)
    let queries = try Memory(shape.queryHeads * 32 * dim, seed: 73)
    Bell(count: shape.queryHeads * 32 * dim, seed: 74).write(floats: queries)
    let half = try halves.view("keys", heads: heads, tokens: tokens, dim: dim, .float16)
    let eight = try blocks.view("keys", heads: heads, tokens: tokens, dim: dim, .q8)
    var table = Table("query rows", "F16", "Q8_0", "", "Q8_0, coarse", "", "the same rows")
    for window in [32, 2] {
        let rows = try queries.view("queries", heads: shape.queryHeads, tokens: window, dim: dim)
        let plans = try [0.0, 0, 1].map {
            try makePlan("dynamickv", shape, ["budget": 1024, "window": Double(window), "cap": 1, "coarse": $0])
        }
        let times = try inTurns(
            options.count(tokens),
            zip(plans, [half, eight, eight]).map { plan, keys in
                {
                    plan.reset()
                    try plan.observe(0, rows, keys, keys)
                }
            })
        let kept = try plans.map { plan in
            try plan.finish()
            return try rowsKept(plan)
        }
        let same = zip(kept[1], kept[2]).reduce(0) { $0 + $1.0.intersection($1.1).count }
        let all = kept[1].reduce(0) { $0 + $1.count }
        table.add(
            ["\(window * shape.group)"]
                + times.map { milliseconds(median($0.cpu)) }.enumerated().flatMap {
                    $0.offset == 0
                        ? [$0.element] : [$0.element, fixed(medianRatio(times[$0.offset].cpu, times[0].cpu), 2)]
                } + [fixed(100 * Double(same) / Double(all), 2) + " %"])
    }
    table.show()
}

private func rowsKept(_ plan: Plan) throws -> [Set<Int32>] {
    let kept = try plan.kept(layer: 0)
    return (0..<kept.heads).map { head in
        Set((Int(kept.offsets[head])..<Int(kept.offsets[head + 1])).map { kept.positions[$0] })
    }
}

/// Roughly normal numbers: twelve uniform ones added up.
private struct Bell {
    private let numbers: [Float]

    init(count: Int, seed: UInt64) {
        var random = SplitMix64(seed)
        numbers = (0..<count).map { _ in
            var sum = -6 * Float(0xffff)
            for _ in 0..<3 {
                let bits = random.next()
                for part in 0..<4 { sum += Float(UInt16(truncatingIfNeeded: bits >> (16 * part))) }
            }
            return sum / Float(0xffff)
        }
    }

    func write(floats: Memory) {
        for (index, number) in numbers.enumerated() { floats.floats[index] = number }
    }

    /// Blocks as ggml makes them: scale = max|x| / 127, rounded to float16; bytes x / scale.
    func write(halves: Memory, blocks: Memory) {
        let target = halves.start.assumingMemoryBound(to: Float16.self)
        for (index, number) in numbers.enumerated() { target[index] = Float16(number) }
        for block in 0..<numbers.count / 32 {
            let own = numbers[block * 32..<block * 32 + 32]
            let scale = (own.map(abs).max() ?? 0) / 127
            blocks.start.storeBytes(of: Float16(scale), toByteOffset: block * 34, as: Float16.self)
            for (index, number) in own.enumerated() {
                blocks.start.storeBytes(
                    of: Int8((number / scale).rounded()), toByteOffset: block * 34 + 2 + index, as: Int8.self)
            }
        }
    }
}

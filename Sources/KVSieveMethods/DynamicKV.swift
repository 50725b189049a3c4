// DynamicKV - layers compete for one budget while prefill goes on. Zhou et al. 2024, arXiv 2412.14838
//
//     base = C - W, P = T - W candidates
//     score    A_l[h, j] = pool(s)[h, j], s the column sums of the last W rows, mean over the group        (H, P)
//     first    layer l keeps, per head, its best min(floor(cap * base), P)
//     every m layers and after the last (D7), n = l + 1 layers seen:
//              won_i  = places of layer i among the best base * H * n entries of A_0 ... A_l               RankShare
//              c_i    = floor(won_i / n); after the last layer c_{L-1} takes what is missing to base * H
//              x_i    = int(first * c_i / sum c), y_i = x_i // (sum x / (base * L)), y_l takes the rest of base * L
//              layer i keeps, per head, its best y_i of what it still has
//
// Decisions D1, D2, D3, D7, D9, D13: README.md.
import KVSieveCore

struct DynamicKV: Method {
    static let cap = Parameter(
        500, "cap", "KVSIEVE_DYNAMICKV_CAP", 10, 1...1000, .real, "a layer's first share, times budget - window")
    static let every = Parameter(
        501, "every", "KVSIEVE_DYNAMICKV_EVERY", 4, 1...1024, .whole, "m, layers between two divisions of the budget")
    static let row = MethodRow(
        id: 4, name: "dynamickv", constant: "KVSIEVE_DYNAMICKV",
        summary: "layers compete for one budget as prefill goes", paper: "arXiv 2412.14838",
        parameters: [
            Shared.budget, Shared.window.initially(8), Shared.poolKernel, Shared.pool, Shared.threads, cap, every,
        ],
        make: { (settings, shape) throws(KVSieveError) in DynamicKV(settings, shape) })

    let window: Int
    private let budget: Int
    private let pool: Pool
    private let kernel: Int
    private let cap: Double
    private let every: Int
    private let layers: Int
    private let heads: Int
    private var base: Int { budget - window }

    init(_ settings: Settings, _ shape: ModelShape) {
        window = settings.int(Shared.window)
        budget = settings.int(Shared.budget)
        pool = settings.int(Shared.pool) == 1 ? .max : .mean
        kernel = settings.int(Shared.poolKernel)
        cap = settings[Self.cap]
        every = settings.int(Self.every)
        layers = shape.layers
        heads = shape.heads
    }

    func needs(layer: Int) -> Needs { [.queries, .keys] }

    /// D2: a prompt of up to C tokens is kept whole; so are caches that hold no more than all layers may (E4).
    func frame(_ length: CacheLength, layer: Int) throws(KVSieveError) -> Frame {
        guard base >= 0 else {
            throw KVSieveError(
                .budget, "budget \(budget) cannot hold the window of \(window) tokens; the smallest budget is \(window)"
            )
        }
        if length.ofModel <= budget * layers * heads { return .whole(length) }
        return Frame(length, sinks: 0, recent: window)
    }

    func score(
        _ layer: LayerView, _ frame: Frame, _ work: Workspace, into scores: LayerScores
    ) throws(KVSieveError) {
        try WindowAttention(layer).poolScores(frame, pool, kernel: kernel, work, into: scores)
    }

    func firstRemembered(after layer: Int) -> Int { 0 }

    func budgets(
        after layer: Int, _ frame: Frame, _ scores: ScoreTable, _ work: Workspace, into budgets: BudgetTable
    ) throws(KVSieveError) {
        let divides = (layer + 1) % every == 0 || layer == layers - 1  // D7
        guard divides else { return budgets.shrink(layer, to: held(scores, layer)) }
        let seen = layer + 1
        let won = try RankShare.counts(scores.layers, places: base * heads * seen, work)
        let missing = seen == layers ? base * heads - won.reduce(0) { $0 + $1 / seen } : 0
        func share(_ i: Int) -> Int { won[i] / seen + (i == layer ? missing : 0) }
        let shares = (0..<seen).reduce(0) { $0 + share($1) }
        let first = (0..<seen).reduce(0) { max($0, held(scores, $1)) }
        // D3: rounded as published, float32 and all.
        func scaled(_ i: Int) -> Int { shares == 0 ? 0 : Int(Float(first) * (Float(share(i)) / Float(shares))) }
        let total = base * layers
        let divisor = Double((0..<seen).reduce(0) { $0 + scaled($1) }) / Double(total)
        func units(_ i: Int) -> Int { divisor > 0 ? Int(floorDivision(Double(scaled(i)), divisor)) : total / seen }
        let rest = total - (0..<seen).reduce(0) { $0 + units($1) }
        // D1: never more than the first share, which is all that a layer holds.
        for i in 0..<seen { budgets.shrink(i, to: min(units(i) + (i == layer ? rest : 0), held(scores, i))) }
    }

    /// What a layer holds at first; of a prompt, where all have P candidates, one number.
    private func held(_ scores: ScoreTable, _ layer: Int) -> Int {
        Int(min(cap * Double(base), Double(scores.layers[layer]?.units ?? 0)))
    }

    /// Python's a // b for floats, b > 0 and a >= 0: by the remainder, so that 6.0 // 0.1 is 59.
    private func floorDivision(_ a: Double, _ b: Double) -> Double {
        let quotient = (a - a.truncatingRemainder(dividingBy: b)) / b
        let whole = quotient.rounded(.down)
        return quotient - whole > 0.5 ? whole + 1 : whole
    }
}

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
        after layer: Int, _ frame: Frame, _ scores: ScoreTable, _ work: Workspace
    ) throws(KVSieveError) -> BudgetUpdate {
        // What each layer holds; of a prompt, where all have P candidates, one number.
        let held = scores.layers.map { Int(min(cap * Double(base), Double($0?.units ?? 0))) }
        let divides = (layer + 1) % every == 0 || layer == layers - 1  // D7
        guard divides else { return .layer(layer, each: held[layer], heads: heads) }
        let seen = layer + 1
        let won = try RankShare.counts(scores.layers.compactMap { $0 }, places: base * heads * seen, work)
        var shares = won.map { $0 / seen }
        if seen == layers { shares[layer] += base * heads - shares.reduce(0, +) }
        let units = divide(shares, held.max() ?? 0)
        // D1: never more than the first share, which is all that a layer holds.
        return .layers(each: zip(units, held).map { min($0, $1) }, heads: heads)
    }

    /// Units for each layer seen, from its share: together base * L. D3: rounded as published, float32 and all.
    private func divide(_ shares: [Int], _ first: Int) -> [Int] {
        let total = base * layers
        let sum = shares.reduce(0, +)
        let scaled = shares.map { share in
            sum == 0 ? 0 : Int(Float(first) * (Float(share) / Float(sum)))
        }
        let scaledSum = scaled.reduce(0, +)
        var units: [Int]
        if scaledSum == 0 {
            units = shares.map { _ in total / shares.count }
        } else {
            let divisor = Double(scaledSum) / Double(total)
            units = scaled.map { Int(floorDivision(Double($0), divisor)) }
        }
        units[units.count - 1] += total - units.reduce(0, +)
        return units.map { max($0, 0) }
    }

    /// Python's a // b for floats, b > 0 and a >= 0: by the remainder, so that 6.0 // 0.1 is 59.
    private func floorDivision(_ a: Double, _ b: Double) -> Double {
        let quotient = (a - a.truncatingRemainder(dividingBy: b)) / b
        let whole = quotient.rounded(.down)
        return quotient - whole > 0.5 ? whole + 1 : whole
    }
}

// DynamicKV - layers compete for one budget during prefill. Zhou et al. 2024, arXiv 2412.14838
//
//     base = C - W, P = T - W candidates
//     score    A_l[h, j] = pool(s)[h, j], s the column sums of the last W rows, mean over the group        (H, P)
//     first    layer l keeps, per head, its best min(floor(cap * base), P)
//     every m layers and after the last (D7), n = l + 1 layers seen:
//              won_i  = places of layer i among the best base * H * n entries of A_0 ... A_l
//              code   c_i = floor(won_i / n); after the last layer c_{L-1} takes what is missing to base * H
//                     x_i = int(first * c_i / sum c), y_i = x_i // (sum x / (base * L)), y_l takes the rest of base * L
//              paper  x_i = floor(first * won_i / max won), y_i = floor(x_i * base * L / sum x)               (D14)
//              layer i keeps, per head, its best y_i of what it still has
//
// Decisions D1, D2, D3, D7, D9, D13, D14: README.md.
import KVSieveCore

struct DynamicKV: Method {
    static let cap = Parameter(500, "cap", 10, 1...1000, .real, "a layer's first share, times budget - window")
    static let every = Parameter(501, "every", 4, 1...1024, .whole, "m, layers between two divisions of the budget")
    static let normal = Parameter(
        502, "normal", 0, 0...1, .whole,
        "counts are divided by 0 their sum (the authors' code), 1 their maximum (the paper)")
    static let row = MethodRow(
        id: 4, name: "dynamickv", summary: "layers compete for one budget as prefill goes",
        choose: "your engine can keep caches of different lengths by layer",
        paper: "arXiv 2412.14838",
        parameters: [
            Shared.budget, Shared.ratio, Shared.window.initially(8), Shared.poolKernel, Shared.pool, Shared.threads,
            cap,
            every, normal,
        ] + Shared.shape + Shared.attention)

    private let budget: Budget
    private let window: Int
    private let pool: Pool
    private let kernel: Int
    private let cap: DecimalShare
    private let every: Int
    private let byMaximum: Bool
    private let isEven: Bool
    private let layers: Int
    private let heads: Int

    init(_ settings: Settings, _ shape: ModelShape) {
        (budget, window, pool, kernel) = (settings.budget, settings.window, settings.pool, settings.kernel)
        cap = settings.share(Self.cap)
        every = settings.int(Self.every)
        byMaximum = settings.int(Self.normal) == 1
        isEven = settings.isEven
        (layers, heads) = (shape.layers, shape.heads)
    }

    var reads: Reads { .queries(.last(window)) }
    /// Layers with one budget do not compete.
    var scope: Scope { isEven ? .layer : .model }

    /// D2: a prompt of up to C tokens is kept whole; so are caches that hold no more than all layers may (E4).
    func frame(_ length: CacheLength, layer: Int) throws(KVSieveError) -> Frame {
        let whole = length.ofModel <= budget.of(length) * layers * heads
        return try budget.frame(length, recent: window, whole: whole) { "the window of \(window) tokens" }
    }

    func score(_ layer: Layer) throws(KVSieveError) -> HeadTable? {
        try layer.attention().candidates(layer.frame).pooled(pool, kernel: kernel)
    }

    func mostRows(_ frame: Frame, layer: Int) -> Int {
        frame.unit * (isEven ? frame.unitsInBudget : cap.floor(of: frame.unitsInBudget))
    }

    func budgets(_ ranked: RankedLayers, into budgets: BudgetTable) throws(KVSieveError) {
        let (layer, base) = (ranked.newest, ranked.frame.unitsInBudget)
        if isEven { return budgets.shrink(layer, to: base) }
        // What a layer holds at first; of a prompt, where all have P candidates, one number.
        func held(_ layer: Int) -> Int { min(cap.floor(of: base), ranked.units(layer)) }
        let divides = (layer + 1) % every == 0 || layer == layers - 1  // D7
        guard divides else { return budgets.shrink(layer, to: held(layer)) }
        let seen = layer + 1
        let won = try ranked.placesOfLayers(base * heads * seen)
        guard won.count == seen else { return }
        let first = (0..<seen).reduce(0) { max($0, held($1)) }
        let division = Division(won: won, first: first, base: base, heads: heads, layers: layers)
        let rest = byMaximum ? 0 : base * layers - (0..<seen).reduce(0) { $0 + division.byCode($1) }
        for i in 0..<seen {
            let units = byMaximum ? division.byPaper(i) : division.byCode(i) + (i == layer ? rest : 0)
            budgets.shrink(i, to: min(units, held(i)))  // D1: never more than the first share
        }
    }
}

/// One division of the model's budget over the layers seen.
private struct Division {
    let won: ReadOnlyBuffer<Int>
    /// The largest share that a layer held at first.
    let first: Int
    private let total: Int
    private let sumOfShares: Int
    /// What the last layer's count lacks to base * H, once all layers were seen.
    private let missing: Int
    private var divisor = 0.0
    private var most = 0
    private var sumOfScaled = 0

    init(won: ReadOnlyBuffer<Int>, first: Int, base: Int, heads: Int, layers: Int) {
        let seen = won.count
        self.won = won
        self.first = first
        total = base * layers
        let sum = won.reduce(0) { $0 + $1 / seen }
        missing = seen == layers ? base * heads - sum : 0
        sumOfShares = sum + missing
        most = won.reduce(0) { max($0, $1) }
        divisor = total > 0 ? Double((0..<seen).reduce(0) { $0 + scaled($1) }) / Double(total) : 0
        sumOfScaled = (0..<seen).reduce(0) { $0 + scaledByMost($1) }
    }

    /// D3: rounded as published, float32 and all.
    private func scaled(_ i: Int) -> Int {
        let share = won[i] / won.count + (i == won.count - 1 ? missing : 0)
        return sumOfShares == 0 ? 0 : Int(Float(first) * (Float(share) / Float(sumOfShares)))
    }

    /// y_i without the rest.
    func byCode(_ i: Int) -> Int {
        divisor > 0 ? Int(floorDivision(Double(scaled(i)), divisor)) : total / won.count
    }

    private func scaledByMost(_ i: Int) -> Int { most == 0 ? 0 : first * won[i] / most }

    func byPaper(_ i: Int) -> Int {
        sumOfScaled == 0 ? total / won.count : scaledByMost(i) * total / sumOfScaled
    }

    /// Python's a // b for floats, b > 0 and a >= 0: by the remainder, so that 6.0 // 0.1 is 59.
    private func floorDivision(_ a: Double, _ b: Double) -> Double {
        let quotient = (a - a.truncatingRemainder(dividingBy: b)) / b
        let whole = quotient.rounded(.down)
        return quotient - whole > 0.5 ? whole + 1 : whole
    }
}

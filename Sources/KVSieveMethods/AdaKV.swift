// Ada-KV - the heads of a layer compete for its budget. Feng et al. 2024, arXiv 2407.11550
//
//     score    as SnapKV, max-pooled
//     c_h      places of head h among the best H base of all scores of the layer, base = C - W - what the caller protects
//     keep     head h the last W and the best round(c_h (1 - phi) + floor(base phi)), halves to even
//
// Heads may have caches of different lengths.
import KVSieveCore

struct AdaKV: Method {
    static let floor = Parameter(
        900, "floor", 0.2, 0...1, .real, "phi, the share of its budget that a head has for certain")
    static let row = MethodRow(
        id: 8, name: "adakv", summary: "the heads of a layer compete for its budget",
        choose: "your engine can keep caches of different lengths by head",
        paper: "arXiv 2407.11550",
        parameters: [
            Shared.budget, Shared.ratio, Shared.window, Shared.poolKernel, Shared.pool.initially(1), Shared.threads,
            floor, Shared.align,
        ] + Shared.attention)

    private let budget: Budget
    private let window: Int
    private let pool: Pool
    private let kernel: Int
    private let floor: DecimalShare
    private let heads: Int

    init(_ settings: Settings, _ shape: ModelShape) {
        (budget, window, pool, kernel) = (settings.budget, settings.window, settings.pool, settings.kernel)
        floor = settings.share(Self.floor)
        heads = shape.heads
    }

    var reads: Reads { .queries(.last(window)) }

    func frame(_ length: CacheLength, layer: Int) throws(KVSieveError) -> Frame {
        try budget.frame(length, recent: window) { "the window of \(window) tokens" }
    }

    func score(_ layer: Layer) throws(KVSieveError) -> HeadTable? {
        try layer.attention().candidates(layer.frame).pooled(pool, kernel: kernel)
    }

    func mostRows(_ frame: Frame, layer: Int) -> Int {
        let base = frame.unitsInBudget
        return floor.roundedRest(of: min(heads * base, frame.competing), plus: floor.floor(of: base))
    }

    func budgets(_ ranked: RankedLayers, into budgets: BudgetTable) throws(KVSieveError) {
        let base = ranked.frame.unitsInBudget
        let won = try ranked.placesOfHeads(heads * base)
        guard won.count == heads else { return }
        for head in 0..<heads {
            let units = floor.roundedRest(of: won[head], plus: floor.floor(of: base))
            budgets.shrink(ranked.newest, head: head, to: units)
        }
    }
}

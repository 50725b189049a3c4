// PyramidKV - lower layers keep more. Cai et al. 2024, arXiv 2406.02069
//
//     score    as SnapKV
//     base = C - W - P, P what the caller protects; min = floor(base / beta), max = 2 base - min
//     where max >= N - W - P: max = N - W - P, min = 2 base - max
//     keep     layer l the last W and the best max - l step, step = floor((max - min) / (L - 1)); N < 2 base: base everywhere
//
// N are the tokens seen. Decisions P1, E9: README.md.
import KVSieveCore

struct PyramidKV: Method {
    static let beta = Parameter(
        800, "beta", 20, 1...1000, .real, "steepness of the pyramid: the last layer keeps base / beta tokens")
    static let row = MethodRow(
        id: 7, name: "pyramidkv", summary: "pooled attention of the last queries, more of it in lower layers",
        choose: "budgets are small and lower layers are known to look at more tokens than upper ones",
        paper: "arXiv 2406.02069",
        parameters: [
            Shared.budget, Shared.ratio, Shared.window.initially(8), Shared.poolKernel, Shared.pool, Shared.threads,
            beta,
        ] + Shared.shape + Shared.attention)

    private let budget: Budget, shape: ModelShape, beta: DecimalShare, isEven: Bool
    private let window: Int, pool: Pool, kernel: Int

    init(_ settings: Settings, _ shape: ModelShape) {
        (budget, window, pool, kernel) = (settings.budget, settings.window, settings.pool, settings.kernel)
        (beta, isEven, self.shape) = (settings.share(Self.beta), settings.isEven, shape)
    }

    var reads: Reads { .queries(.last(window)) }

    func frame(_ length: CacheLength, layer: Int) throws(KVSieveError) -> Frame {
        let whole = length.ofModel <= budget.of(length) * shape.layers * shape.heads  // E4
        return try budget.frame(length, recent: window, whole: whole) { "the window of \(window) tokens" }
    }

    func score(_ layer: Layer) throws(KVSieveError) -> HeadTable? {
        try layer.attention().candidates(layer.frame).pooled(pool, kernel: kernel)
    }

    func budgets(_ ranked: RankedLayers, into budgets: BudgetTable) throws(KVSieveError) {
        let rows = mostRows(ranked.frame, layer: ranked.newest)
        budgets.shrink(ranked.newest, to: rows / ranked.frame.unit)
    }

    func mostRows(_ frame: Frame, layer: Int) -> Int {
        let seen = frame.length.seen
        let base = frame.unitsInBudget * frame.unit
        var (least, most) = (base, base)
        if seen >= 2 * base && shape.layers > 1 && !isEven {
            least = beta.floor(dividing: base)
            most = 2 * base - least
            let all = seen - frame.recent - frame.protectedRows
            if most >= all { (least, most) = (2 * base - all, all) }
        }
        let step = shape.layers > 1 ? (most - least) / (shape.layers - 1) : 0
        return (most - layer * step) / frame.unit * frame.unit
    }
}

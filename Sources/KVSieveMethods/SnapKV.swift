// SnapKV - what the last queries look at. Li et al. 2024, arXiv 2404.14469
//
//     score    pool(s)[j], s the column sums of the last W rows, mean over the group
//     keep     the last W and the best C - W of the others, per head
import KVSieveCore

struct SnapKV: Method {
    static let row = MethodRow(
        id: 6, name: "snapkv", summary: "pooled attention of the last queries",
        choose: "you want the field's baseline: one length for all heads, one pass, no surprises",
        paper: "arXiv 2404.14469",
        parameters: [
            Shared.budget, Shared.ratio, Shared.window, Shared.poolKernel, Shared.pool, Shared.threads,
        ] + Shared.shape + Shared.attention)

    private let budget: Budget
    private let window: Int
    private let pool: Pool
    private let kernel: Int

    init(_ settings: Settings, _ shape: ModelShape) {
        (budget, window, pool, kernel) = (settings.budget, settings.window, settings.pool, settings.kernel)
    }

    var reads: Reads { .queries(.last(window)) }

    func frame(_ length: CacheLength, layer: Int) throws(KVSieveError) -> Frame {
        try budget.frame(length, recent: window) { "the window of \(window) tokens" }
    }

    func score(_ layer: Layer) throws(KVSieveError) -> HeadTable? {
        try layer.attention().candidates(layer.frame).pooled(pool, kernel: kernel)
    }
}

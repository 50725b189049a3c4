// KeyDiff - keys unlike the others. Park et al. 2025, arXiv 2504.15364
//
//     a        mean over the head's tokens of k / |k|
//     score    -cos(k_j, a)
//     keep     the last `recent` and the best C - recent of the others, per head; no query is read
import KVSieveCore

struct KeyDiff: Method {
    static let recent = Parameter(1200, "recent", 32, 0...4096, .whole, "last tokens kept by force")
    static let row = MethodRow(
        id: 11, name: "keydiff", summary: "keys that point away from the mean key",
        choose: "your engine cannot hand over queries",
        paper: "arXiv 2504.15364",
        parameters: [Shared.budget, Shared.ratio, Shared.threads, recent] + Shared.shape)

    private let budget: Budget
    private let recent: Int

    init(_ settings: Settings, _ shape: ModelShape) {
        (budget, recent) = (settings.budget, settings.int(Self.recent))
    }

    var reads: Reads { .keys }

    func frame(_ length: CacheLength, layer: Int) throws(KVSieveError) -> Frame {
        try budget.frame(length, recent: recent) { "the last \(recent) tokens" }
    }

    func score(_ layer: Layer) throws(KVSieveError) -> HeadTable? {
        try layer.keyCosinesToMean().candidates(layer.frame).negated()
    }
}

// H2O - heavy hitters. Zhang et al. 2023, arXiv 2306.14048
//
//     S_j     sum of softmax(q_i k) over all rows i of the prompt, mean over the group; no pooling
//     keep    the last R and the best C - R of the others, per head; R = floor(C * recent_ratio), at least 1 (H1)
//             and at most C - block + 1, less what the caller protects: the newest block has room wherever in it the prompt ends
//
// While decoding every new row is added to the sums of the living slots, and one slot outside the last R leaves: that with
// the lowest sum. Reads the queries of all tokens: cost grows with T^2. Decisions H1 ... H4: README.md.
import KVSieveCore

struct H2O: Method {
    static let recentRatio = Parameter(
        600, "recent_ratio", 0.5, 0...1, .real, "share of the budget that the last tokens have for certain")
    static let row = MethodRow(
        id: 5, name: "h2o", summary: "heavy hitters by the attention of all queries",
        choose: "the queries of all tokens are at hand and what was looked at once matters for ever",
        paper: "arXiv 2306.14048",
        parameters: [Shared.budget, Shared.ratio, Shared.threads, Shared.decoding, recentRatio] + Shared.shape
            + Shared.attention)

    private let budget: Budget
    private let recentRatio: DecimalShare
    private let ratio: Double

    init(_ settings: Settings, _ shape: ModelShape) {
        (budget, ratio, recentRatio) = (
            settings.budget, settings[Self.recentRatio], settings.share(Self.recentRatio)
        )
    }

    var reads: Reads { .queries(.all) }

    private func recent(_ length: CacheLength) -> Int {
        let tokens = budget.of(length)
        let held = budget.protectedRows(length) + budget.block - 1
        return max(1, min(recentRatio.floor(of: tokens), tokens - held))
    }

    func frame(_ length: CacheLength, layer: Int) throws(KVSieveError) -> Frame {
        try budget.frame(length, recent: recent(length)) { "the newest token" }
    }

    func score(_ layer: Layer) throws(KVSieveError) -> HeadTable? {
        try layer.attention().candidates(layer.frame)
    }

    func decoding(_ length: CacheLength) throws(KVSieveError) -> DecodeRule? {
        let budget = budget.of(length)
        guard recentRatio.floor(of: budget) > 0 else {
            throw KVSieveError(
                .budget,
                "recent_ratio \(ratio) of a budget of \(budget) tokens holds no recent token, and no new one would ever stay;"
                    + " the smallest recent_ratio is \(DecimalShare.least(for: 1, of: budget))")
        }
        return DecodeRule(
            budget: budget, recent: recent(length), protected: self.budget.protectedRows(length), evidence: .allRows)
    }
}

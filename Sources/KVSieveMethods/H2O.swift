// H2O - heavy hitters. Zhang et al. 2023, arXiv 2306.14048
//
//     S_j     sum of softmax(q_i k) over all rows i of the prompt, mean over the group; no pooling
//     keep    the last R and the best C - R of the others, per head; R = floor(C * recent_ratio), at least 1 (H1)
//
// While decoding every new row is added to the sums of the living slots, and one slot outside the last R leaves: that with
// the lowest sum. Reads the queries of all tokens: cost grows with T^2. Decisions H1 ... H3: README.md.
import KVSieveCore

struct H2O: Method {
    static let recentRatio = Parameter(
        600, "recent_ratio", "KVSIEVE_H2O_RECENT_RATIO", 0.5, 0...1, .real,
        "share of the budget that the last tokens have for certain")
    static let row = MethodRow(
        id: 5, name: "h2o", constant: "KVSIEVE_H2O", summary: "heavy hitters by the attention of all queries",
        paper: "arXiv 2306.14048", decodes: true,
        parameters: [Shared.budget, Shared.threads, Shared.decoding, recentRatio],
        make: { (settings, shape) throws(KVSieveError) in H2O(settings, shape) })

    /// All queries are read; W is not looked at.
    let window = 1
    private let budget: Int
    private let recent: Int

    init(_ settings: Settings, _ shape: ModelShape) {
        budget = settings.int(Shared.budget)
        recent = max(1, Int(Double(budget) * settings[Self.recentRatio]))
    }

    func needs(layer: Int) -> Needs { [.queries, .keys, .allQueries] }

    func frame(_ length: CacheLength, layer: Int) throws(KVSieveError) -> Frame {
        length.longest <= budget ? .whole(length) : Frame(length, sinks: 0, recent: recent)
    }

    func score(
        _ layer: LayerView, _ frame: Frame, _ work: Workspace, into scores: LayerScores
    ) throws(KVSieveError) {
        try AllQueryAttention(layer).scores(frame, work, into: scores)
    }

    func budgets(
        after layer: Int, _ frame: Frame, _ scores: ScoreTable, _ work: Workspace, into budgets: BudgetTable
    ) throws(KVSieveError) {
        budgets.shrink(layer, to: budget - recent)
    }

    var decodeRule: DecodeRule? { DecodeRule(budget: budget, recent: recent, evidence: .allRows) }
}

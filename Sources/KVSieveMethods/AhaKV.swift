// AhaKV - entropy-steady scores and value norms. Gu et al. 2025, arXiv 2506.03762
//
//     row i (tokens seen so far, its own included: A1) has logits g_i z, g_i = sqrt(2 ln(i / C)); i <= C: gain 0
//     S_j      column sum over the last r = W rows, mean over the group (A5)
//     nu_j     = ||V_j||^2, gamma_j = mean pool of nu over all tokens (A6)
//     score    (gamma_j / max gamma) * S_j
//     keep     the last r (and the first `sinks`, A9), and the best C - r - sinks of the others, per head
//
// Prefill; at every decoding step one slot leaves. Decisions A1 ... A11: README.md.
import KVSieveCore

struct AhaKV: Method {
    static let gainFloor = Parameter(
        200, "gain_floor", "KVSIEVE_AHAKV_GAIN_FLOOR", 0, 0...1, .real,
        "least gain of the scoring softmax; 1: never flatter than the model's")
    static let sinks = Parameter(
        201, "sinks", "KVSIEVE_AHAKV_SINKS", 0, 0...4096, .whole,
        "first tokens kept by force; they count against the budget")
    static let row = MethodRow(
        id: 1, name: "ahakv", constant: "KVSIEVE_AHAKV",
        summary: "entropy-steady attention times value norms", paper: "arXiv 2506.03762", decodes: true,
        parameters: [
            Shared.budget, Shared.window, Shared.poolKernel, Shared.threads, Shared.decoding, gainFloor, sinks,
        ],
        make: { (settings, shape) throws(KVSieveError) in AhaKV(settings, shape) })

    /// r, the recent tokens that never leave.
    let window: Int
    private let budget: Int
    private let kernel: Int
    private let gainFloor: Double
    private let sinks: Int
    private let heads: Int

    init(_ settings: Settings, _ shape: ModelShape) {
        window = settings.int(Shared.window)
        budget = settings.int(Shared.budget)
        kernel = settings.int(Shared.poolKernel)
        gainFloor = settings[Self.gainFloor]
        sinks = settings.int(Self.sinks)
        heads = shape.heads
    }

    func needs(layer: Int) -> Needs { [.queries, .keys, .values] }

    func frame(_ length: CacheLength, layer: Int) throws(KVSieveError) -> Frame {
        guard window >= kernel / 2 else {
            throw KVSieveError(
                .budget,
                "window \(window) is less than half of pool_kernel \(kernel): a token's value norm would be pooled before its"
                    + " neighbours came; the smallest window is \(kernel / 2)")
        }
        guard budget >= window + sinks else {
            throw KVSieveError(
                .budget,
                "budget \(budget) cannot hold \(sinks) sinks and the window of \(window) tokens; the smallest budget is"
                    + " \(window + sinks)")
        }
        if length.longest <= budget { return .whole(length) }
        return Frame(length, sinks: sinks, recent: window)
    }

    /// g of a row that has seen so many tokens (A1, A2, A11).
    static func gain(seen: Int, budget: Int, floor: Double) -> Double {
        let gain = seen > budget ? (2 * naturalLogarithm(Double(seen) / Double(budget))).squareRoot() : 0
        return max(gain, floor)
    }

    var decodeRule: DecodeRule? {
        let (budget, floor) = (budget, gainFloor)
        return DecodeRule(
            budget: budget, recent: window, sinks: sinks, evidence: .lastRows(window), valueKernel: kernel,
            gain: { Self.gain(seen: $0, budget: budget, floor: floor) })
    }

    func score(
        _ layer: LayerView, _ frame: Frame, _ work: Workspace, into scores: LayerScores
    ) throws(KVSieveError) {
        try scores.reserve(rows: heads, units: frame.units)
        let before = layer.length.seen - min(window, layer.length.new)
        let attention = try WindowAttention(layer, work) { row in
            Self.gain(seen: before + row + 1, budget: budget, floor: gainFloor)
        }
        try attention.forEachHead(work) { columns in
            columns.divide(by: columns.group)
            columns.store(frame, into: scores)
        }
        try ValueNorms.multiply(layer, frame, kernel: kernel, work, into: scores)
    }

    func budgets(
        after layer: Int, _ frame: Frame, _ scores: ScoreTable, _ work: Workspace, into budgets: BudgetTable
    ) throws(KVSieveError) {
        budgets.shrink(layer, to: budget - window - sinks)
    }
}

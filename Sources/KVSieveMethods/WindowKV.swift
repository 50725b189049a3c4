// WindowKV - whole windows of tokens, one choice for a group of layers. Zuo et al. 2025, arXiv 2503.17922
//
//     n = T - W review tokens in windows of w tokens; layers in groups of g, N = ceil(L / g)
//     budgets  top = floor(C g / lambda), bottom = 2 C - top, step = floor((bottom - top) / (N - 1))
//              B of group i = bottom - i step, of the last top (one group: C)
//     score    of a window, one row for all heads, from each query head's own column sums:
//              localization  mean over the window;  aggregation  mean of its floor(w / 2) largest;  then mean over heads
//     keep     n <= B: everything; else the best ceil(n / w) - ceil((n - B) / w) windows and the last W tokens
//
// The first layer of a group scores; the others read no tensor. Decisions W1 ... W12: README.md.
import KVSieveCore

struct WindowKV: Method {
    static let task = Parameter(
        400, "task", "KVSIEVE_WINDOWKV_TASK", 0, 0...1, .whole,
        "0 localization (find a passage), 1 aggregation (use them all)")
    static let size = Parameter(401, "size", "KVSIEVE_WINDOWKV_SIZE", 8, 1...4096, .whole, "tokens of a window")
    static let shared = Parameter(
        402, "shared", "KVSIEVE_WINDOWKV_SHARED", 8, 1...1024, .whole,
        "layers of a group, which make one choice; <= pyramid")
    static let pyramid = Parameter(
        403, "pyramid", "KVSIEVE_WINDOWKV_PYRAMID", 14, 1...1000, .real,
        "lambda, the pyramid's shape: the last group keeps budget * shared / pyramid")
    static let charge = Parameter(
        404, "charge", "KVSIEVE_WINDOWKV_CHARGE", 0, 0...1, .whole, "1: the window counts against the budget")
    static let row = MethodRow(
        id: 3, name: "windowkv", constant: "KVSIEVE_WINDOWKV",
        summary: "whole windows of tokens, shared by the layers of a group", paper: "arXiv 2503.17922",
        parameters: [
            Shared.budget, Shared.window.initially(16), Shared.threads, task, size, shared, pyramid, charge,
        ],
        make: { (settings, shape) throws(KVSieveError) in try WindowKV(settings, shape) })

    let window: Int
    private let size: Int
    private let shared: Int
    private let charge: Int
    private let budget: Int
    private let statistic: WindowStatistic
    private let heads: Int
    /// B of each group; never below 0.
    private let groupBudgets: [Int]

    init(_ settings: Settings, _ shape: ModelShape) throws(KVSieveError) {
        window = settings.int(Shared.window)
        budget = settings.int(Shared.budget)
        size = settings.int(Self.size)
        shared = settings.int(Self.shared)
        charge = settings.int(Self.charge)
        statistic = settings.int(Self.task) == 1 ? .largest(max(1, size / 2)) : .mean  // W1
        heads = shape.heads
        let pyramid = settings[Self.pyramid]
        guard Double(shared) <= pyramid else {
            throw KVSieveError(
                .parameter,
                "shared is \(shared) and pyramid \(pyramid): the pyramid would stand on its head; expected shared <= pyramid"
            )
        }
        groupBudgets = Self.schedule(
            budget: max(0, budget - charge * window), shared: shared, pyramid: pyramid, layers: shape.layers)
    }

    /// B of each group (W2); one group: C (W8).
    static func schedule(budget: Int, shared: Int, pyramid: Double, layers: Int) -> [Int] {
        let groups = (layers + shared - 1) / shared
        guard groups > 1 else { return [budget] }
        let top = Int((Double(budget) * Double(shared) / pyramid).rounded(.down))
        let bottom = 2 * budget - top
        let step = (bottom - top) / (groups - 1)
        return (0..<groups).map { $0 == groups - 1 ? top : bottom - $0 * step }
    }

    func needs(layer: Int) -> Needs { leader(of: layer) == layer ? [.queries, .keys] : [] }
    func leader(of layer: Int) -> Int { layer - layer % shared }
    func firstRemembered(after layer: Int) -> Int { leader(of: layer + 1) }

    func frame(_ length: CacheLength, layer: Int) throws(KVSieveError) -> Frame {
        guard charge == 0 || budget >= window else {
            throw KVSieveError(
                .budget,
                "budget \(budget) cannot hold the window of \(window) tokens that is charged to it; the smallest budget is"
                    + " \(window)")
        }
        if length.longest - window <= groupBudgets[layer / shared] { return .whole(length) }
        return Frame(length, sinks: 0, recent: window, unit: size)
    }

    func score(
        _ layer: LayerView, _ frame: Frame, _ work: Workspace, into scores: LayerScores
    ) throws(KVSieveError) {
        let partial = work.intermediate
        try partial.reserve(rows: heads, units: frame.units)
        try WindowAttention(layer).forEachHead(work, perQueryHead: true) { columns in
            columns.addWindows(frame, statistic, into: partial)
        }
        try scores.mean(of: partial, over: layer.shape.queryHeads)
    }

    func budgets(
        after layer: Int, _ frame: Frame, _ scores: ScoreTable, _ work: Workspace, into budgets: BudgetTable
    ) throws(KVSieveError) {
        let over = frame.candidates.count - groupBudgets[layer / shared]
        let drop = (over + size - 1) / size
        budgets.shrink(layer, to: frame.units - drop)
    }
}

// WindowKV - whole windows of tokens, one choice for a group of layers. Zuo et al. 2025, arXiv 2503.17922
//
//     n = T - W review tokens in windows of w tokens; layers in groups of g, N = ceil(L / g)
//     budgets  top = floor(C g / lambda), bottom = 2 C - top, step = floor((bottom - top) / (N - 1))
//              B of group i = bottom - i step, of the last top (one group: C)
//     score    of a window, one row for all heads, from each query head's own column sums:
//              localization  mean over the window;  aggregation  mean of its floor(w / 2) largest;  then mean over heads
//     keep     n <= B: everything; else the best ceil(n / w) - ceil((n - B) / w) windows and the last W tokens
//
// With charge 1 the same pyramid is laid over L (C - W) tokens without rounding its steps, and no layer exceeds its B (W4).
// The first layer of a group scores; the others read no tensor. Decisions W1 ... W12: README.md.
import KVSieveCore

struct WindowKV: Method {
    static let task = Parameter(
        400, "task", 0, 0...1, .whole, "0 localization (find a passage), 1 aggregation (use them all)")
    static let size = Parameter(401, "size", 8, 1...4096, .whole, "tokens of a window")
    static let shared = Parameter(
        402, "shared", 8, 1...1024, .whole, "layers of a group, which make one choice; <= pyramid")
    static let pyramid = Parameter(
        403, "pyramid", 14, 1...1000, .real,
        "lambda, the pyramid's shape: the last group keeps budget * shared / pyramid")
    static let charge = Parameter(
        404, "charge", 0, 0...1, .whole, "1: the window counts against the budget, which is never exceeded")
    static let row = MethodRow(
        id: 3, name: "windowkv", summary: "whole windows of tokens, shared by the layers of a group",
        choose: "answers are passages of the prompt, or attention may be computed in few layers only",
        paper: "arXiv 2503.17922",
        parameters: [
            Shared.budget, Shared.ratio, Shared.window.initially(16), Shared.threads, task, size, shared, pyramid,
            charge,
        ] + Shared.shape + Shared.attention)

    private let budget: Budget
    private let window: Int
    private let size: Int
    private let shared: Int
    private let pyramid: DecimalShare
    private let charges: Bool
    private let isEven: Bool
    private let statistic: WindowStatistic
    private let layers: Int

    init(_ settings: Settings, _ shape: ModelShape) throws(KVSieveError) {
        (budget, window) = (settings.budget, settings.window)
        size = settings.int(Self.size)
        shared = settings.int(Self.shared)
        pyramid = settings.share(Self.pyramid)
        charges = settings.int(Self.charge) == 1
        isEven = settings.isEven
        statistic = settings.int(Self.task) == 1 ? .largest(max(1, size / 2)) : .mean  // W1
        layers = shape.layers
        guard size % budget.block == 0 else {
            throw KVSieveError(
                .parameter,
                "size is \(size) and block \(budget.block): windows are whole blocks; expected a multiple of block")
        }
        let pyramid = settings[Self.pyramid]
        guard Double(shared) <= pyramid else {
            throw KVSieveError(
                .parameter,
                "shared is \(shared) and pyramid \(pyramid): later groups would keep more than earlier ones; expected shared <= pyramid"
            )
        }
    }

    var reads: Reads { .queries(.last(window), detail: .queryHeads) }
    var scope: Scope { .group(shared) }

    /// B of a layer's group, for windows that compete; never below 0. The protected ones are paid by every layer with as many
    /// tokens, of which a layer with fewer has the rest.
    private func groupBudget(_ layer: Int, _ frame: Frame) -> Int {
        // Every layer keeps the same recent rows: they are paid before the rest is divided.
        let all = max(0, frame.budget - (charges ? frame.recent : 0))
        let most = charges ? frame.budget - window - (multiple - 1) : all
        let protected = max(
            frame.protectedRows, min(most, frame.length.protectedRows(unit: size, aligned: isAligned)))
        let tokens = max(0, all - protected)
        let own =
            isEven
            ? tokens
            : charges
                ? Self.charged(layer / shared, tokens: tokens, shared: shared, pyramid: pyramid, layers: layers)
                : Self.published(layer / shared, budget: tokens, shared: shared, pyramid: pyramid, layers: layers)
        return own + protected - frame.protectedRows
    }

    /// A short last window would make layers that choose it shorter than others.
    private var multiple: Int { isEven ? size : budget.block }
    /// Do windows begin at multiples of themselves, in every round?
    private var isAligned: Bool { multiple == size }

    /// B of a group as the authors' code has it (W2); one group: C (W8).
    static func published(_ group: Int, budget: Int, shared: Int, pyramid: DecimalShare, layers: Int) -> Int {
        let groups = (layers + shared - 1) / shared
        guard groups > 1 else { return budget }
        let top = pyramid.floor(dividing: budget * shared)
        let bottom = 2 * budget - top
        return group == groups - 1 ? top : bottom - group * ((bottom - top) / (groups - 1))
    }

    /// B of a group where L times `tokens` are divided by the pyramid's exact shape (W4): group i weighs
    /// (2 lambda - g) (N - 1) - 2 i (lambda - g).
    static func charged(_ group: Int, tokens: Int, shared: Int, pyramid: DecimalShare, layers: Int) -> Int {
        let groups = (layers + shared - 1) / shared
        guard groups > 1 else { return tokens }
        func weight(_ group: Int) -> (a: Int, b: Int) {
            (2 * (groups - 1) - 2 * group, shared * (groups - 1) - 2 * group * shared)
        }
        let sum = (0..<layers).reduce((a: 0, b: 0)) { sum, layer in
            let weight = weight(layer / shared)
            return (sum.a + weight.a, sum.b + weight.b)
        }
        return pyramid.part(of: layers * tokens, weight: weight(group), sum: sum)
    }

    func frame(_ length: CacheLength, layer: Int) throws(KVSieveError) -> Frame {
        if charges {
            let frame = try budget.frame(length, recent: window, unit: size, multiple: multiple, whole: false) {
                "the window of \(window) tokens that is charged to it"
            }
            return frame.units == 0 || isWhole(frame, layer: layer) ? .whole(length) : frame
        }
        let recent = length.recent(window, multiple: multiple)
        let frame = Frame(length, sinks: 0, recent: recent, unit: size, budget: budget.of(length))
        guard
            let held = try budget.holding(frame, certain: 0, sinks: 0, aligned: isAligned, what: { "its windows" })
        else { return .whole(length) }
        let holding = Frame(length, sinks: 0, recent: recent, unit: size, budget: held)
        return isWhole(holding, layer: layer) ? .whole(length) : holding
    }

    private func isWhole(_ frame: Frame, layer: Int) -> Bool {
        let others = frame.length.longest - (charges ? frame.recent : window) - frame.protectedRows
        return others <= 0 || others <= groupBudget(layer, frame)
    }

    func score(_ layer: Layer) throws(KVSieveError) -> HeadTable? {
        let (frame, statistic) = (layer.frame, statistic)
        return try layer.attentionOfQueryHeads { $0.candidates(frame).windows(statistic) }.meanOfRows()
    }

    /// Windows that a layer keeps, and the tokens of the short last one if it fits beside them: where it is among the best, one
    /// window more is kept.
    private func windows(_ frame: Frame, layer: Int) -> (full: Int, short: Int) {
        let budget = groupBudget(layer, frame)
        guard charges else {
            let over = frame.competingRows - budget
            return (frame.competing - (over + size - 1) / size, 0)
        }
        let full = budget / size
        // A whole number of windows if the short one is protected.
        let last = frame.competingRows - (frame.competing - 1) * size
        return (full, full * size + last <= budget ? last : 0)
    }

    func mostRows(_ frame: Frame, layer: Int) -> Int {
        let (full, short) = windows(frame, layer: layer)
        return full * size + short
    }

    func budgets(_ ranked: RankedLayers, into budgets: BudgetTable) throws(KVSieveError) {
        let (layer, frame) = (ranked.newest, ranked.frame)
        let (full, short) = windows(frame, layer: layer)
        let oneMore = short > 0 ? try ranked.isAmongBest(full + 1, unit: frame.units - 1) : false
        budgets.shrink(layer, to: full + (oneMore ? 1 : 0))
    }
}

// Task-KV - heads far from the semantic centre keep everything. He et al. 2025, arXiv 2501.15113
//
//     N tokens seen, Cm[h, j] = mean over the W window rows and the G query heads of P                    (H, T), unpooled
//     mark     v_h = sum over the best t columns of Cm[h, j] V[h, j]; distance of v_h from the mean of the layer's v
//     heads    f(l) = floor(H beta - (H beta - m) l / (L - 1)) keep everything: the f - 1 farthest and the nearest
//     others   s1 first tokens, s2 last tokens, and the best k of the rest by pooled Cm,
//              k = floor((B - N f) / (H - f)) - s1 - s2, less what the caller protects, B = floor(rho H N)
//
// Decisions T1 ... T9, and E3, E5, E8 for a sequence that goes on: README.md.
import KVSieveCore

struct TaskKV: Method {
    static let beta = Parameter(
        300, "beta", 0.25, 0...1, .real, "share of heads that keep everything in layer 0")
    static let top = Parameter(
        301, "top", 1, 0...1024, .whole, "m, heads that keep everything in the last layer")
    static let sinks = Parameter(
        302, "sinks", 16, 0...4096, .whole, "first tokens that every head keeps")
    static let recent = Parameter(
        303, "recent", 256, 0...1_048_576, .whole, "last tokens that every head keeps")
    static let semantic = Parameter(
        304, "semantic", 256, 1...1_048_576, .whole,
        "t, tokens that make a head's semantic vector")
    static let row = MethodRow(
        id: 2, name: "taskkv", summary: "far heads keep everything, others sinks, recent and middle tokens",
        choose: "there are many key/value heads and 40 % of the cache or more may stay",
        paper: "arXiv 2501.15113",
        parameters: [
            Shared.budget.initially(0), Shared.ratio.initially(0.5), Shared.window, Shared.poolKernel, Shared.threads,
            beta, top, sinks, recent, semantic, Shared.align,
        ] + Shared.attention)

    private let budget: Budget
    private let window: Int
    private let kernel: Int
    private let beta: DecimalShare
    private let top: Int
    private let sinks: Int
    private let recent: Int
    private let best: Int
    private let layers: Int
    private let heads: Int

    init(_ settings: Settings, _ shape: ModelShape) {
        (budget, window, kernel) = (settings.budget, settings.window, settings.kernel)
        beta = settings.share(Self.beta)
        top = settings.int(Self.top)
        sinks = settings.int(Self.sinks)
        recent = settings.int(Self.recent)
        best = settings.int(Self.semantic)
        layers = shape.layers
        heads = shape.heads
    }

    var reads: Reads { .queries(.last(window)).andValues }

    func frame(_ length: CacheLength, layer: Int) throws(KVSieveError) -> Frame {
        let tokens = length.seen
        let frame = Frame(length, sinks: sinks, recent: recent)
        let isShort = tokens <= max(sinks + recent + frame.protectedRows, window)
        let protected = budget.protectedRows(frame, sinks: sinks)
        // A budget in tokens must hold what the caller protects in later rounds, too.
        if isShort && (budget.goesByRatio || protected == 0) { return .whole(length) }
        let least = max(1, sinks + recent + protected)
        // E8: of a sequence that grew into this, what is kept for certain is kept alone.
        let outgrew = budget.goesByRatio && !length.isPrompt
        guard outgrew || budget.slots(length, heads: heads) >= heads * least else {
            let what = protected > 0 ? ", and \(protected) protected ones," : ""
            throw budget.refusal(
                length, least: least, "the \(sinks) first and \(recent) last tokens\(what) of each of \(heads) heads")
        }
        return isShort ? .whole(length) : frame
    }

    func score(_ layer: Layer) throws(KVSieveError) -> HeadTable? {
        let attention = try layer.attention().divided(by: layer.windowRows)
        let distances = try layer.values(weightedBy: attention, best: best).distancesFromMean()
        return try attention.candidates(layer.frame).pooled(.mean, kernel: kernel).marked(by: distances)  // T7
    }

    /// f(l) without regard to the budget (T3): one exact quotient, so that whole results are whole.
    static func fullHeads(layer: Int, layers: Int, heads: Int, beta: DecimalShare, top: Int) -> Int {
        let last = layers - 1
        let value =
            layers == 1
            ? beta.floor(of: heads) : beta.floor(heads * (last - layer), plus: top * layer, over: last)
        return min(value, heads)
    }

    /// f and k with the budget B kept (T4): f is lowered until every head keeps `least` rows, `protected` ones among them.
    static func share(
        slots: Int, tokens: Int, heads: Int, protected: Int, least: Int, full: Int
    ) -> (full: Int, middle: Int) {
        func middle(_ full: Int) -> Int? {
            if full == heads { return slots >= tokens * heads ? 0 : nil }
            let left = slots - tokens * full
            return left >= least * (heads - full) ? left / (heads - full) - protected : nil
        }
        if let middle = middle(full) { return (full, middle) }
        let lowered = min(max((slots - heads * least) / (tokens - least), 0), full)
        return (lowered, middle(lowered) ?? least - protected)
    }

    private func share(_ frame: Frame, layer: Int) -> (full: Int, middle: Int) {
        let (length, protected) = (frame.length, sinks + recent + frame.protectedRows)
        let wanted = Self.fullHeads(layer: layer, layers: layers, heads: heads, beta: beta, top: top)
        return Self.share(
            slots: budget.slots(length, heads: heads), tokens: length.seen, heads: heads, protected: protected,
            least: max(1, protected), full: wanted)
    }

    func mostRows(_ frame: Frame, layer: Int) -> Int {
        let (full, middle) = share(frame, layer: layer)
        return full > 0 ? frame.competingRows : middle
    }

    func budgets(_ ranked: RankedLayers, into budgets: BudgetTable) throws(KVSieveError) {
        let layer = ranked.newest
        let (full, middle) = share(ranked.frame, layer: layer)
        let chosen = ChosenHeads(ranked.marks, full)
        for head in 0..<heads where !chosen.contains(head) { budgets.shrink(layer, head: head, to: middle) }
    }
}

/// The full - 1 farthest heads and the nearest of the rest (T2); equal distances: the lower head, for either (T8).
struct ChosenHeads<Distances: RandomAccessCollection<Float>> where Distances.Index == Int {
    private let distances: Distances
    /// How many are chosen because they are far.
    private let far: Int
    private var nearest: Int?

    init(_ distances: Distances, _ full: Int) {
        self.distances = distances
        far = full <= 1 || full >= distances.count ? full : full - 1
        if far == full { return }
        for head in distances.indices where farther(than: head) >= far {
            if let nearest, distances[head] >= distances[nearest] { continue }
            nearest = head
        }
    }

    func contains(_ head: Int) -> Bool { head == nearest || farther(than: head) < far }

    /// How many heads are before this one in the order of distance, the farthest first.
    private func farther(than head: Int) -> Int {
        distances.indices.count { other in
            distances[other] > distances[head] || distances[other] == distances[head] && other < head
        }
    }
}

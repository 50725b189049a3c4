// Task-KV - heads far from the semantic centre keep everything. He et al. 2025, arXiv 2501.15113
//
//     N tokens seen, Cm[h, j] = mean over the W window rows and the G query heads of P                    (H, T), unpooled
//     mark     v_h = sum over the best t columns of Cm[h, j] V[h, j]; distance of v_h from the mean of the layer's v
//     heads    f(l) = floor(H beta - (H beta - m) l / (L - 1)) keep everything: the f - 1 farthest and the nearest
//     others   s1 first tokens, s2 last tokens, and the best k of the rest by pooled Cm,
//              k = floor((B - N f) / (H - f)) - s1 - s2, B = floor(rho H N)
//
// Decisions T1 ... T9, and E3, E5, E8 for a sequence that goes on: README.md.
import KVSieveCore

struct TaskKV: Method {
    static let beta = Parameter(
        300, "beta", "KVSIEVE_TASKKV_BETA", 0.25, 0...1, .real, "share of heads that keep everything in layer 0")
    static let top = Parameter(
        301, "top", "KVSIEVE_TASKKV_TOP", 1, 0...1024, .whole, "m, heads that keep everything in the last layer")
    static let sinks = Parameter(
        302, "sinks", "KVSIEVE_TASKKV_SINKS", 16, 0...4096, .whole, "first tokens that every head keeps")
    static let recent = Parameter(
        303, "recent", "KVSIEVE_TASKKV_RECENT", 256, 0...1_048_576, .whole, "last tokens that every head keeps")
    static let tokens = Parameter(
        304, "tokens", "KVSIEVE_TASKKV_TOKENS", 256, 1...1_048_576, .whole,
        "t, tokens that make a head's semantic vector")
    static let row = MethodRow(
        id: 2, name: "taskkv", constant: "KVSIEVE_TASKKV",
        summary: "far heads keep everything, others sinks, recent and middle tokens", paper: "arXiv 2501.15113",
        parameters: [
            Shared.ratio, Shared.window, Shared.poolKernel, Shared.threads, beta, top, sinks, recent, tokens,
        ],
        make: { (settings, shape) throws(KVSieveError) in TaskKV(settings, shape) })

    let window: Int
    private let ratio: Double
    private let kernel: Int
    private let beta: Double
    private let top: Int
    private let sinks: Int
    private let recent: Int
    private let best: Int
    private let layers: Int
    private let heads: Int

    init(_ settings: Settings, _ shape: ModelShape) {
        window = settings.int(Shared.window)
        ratio = settings[Shared.ratio]
        kernel = settings.int(Shared.poolKernel)
        beta = settings[Self.beta]
        top = settings.int(Self.top)
        sinks = settings.int(Self.sinks)
        recent = settings.int(Self.recent)
        best = settings.int(Self.tokens)
        layers = shape.layers
        heads = shape.heads
    }

    func needs(layer: Int) -> Needs { [.queries, .keys, .values] }

    func frame(_ length: CacheLength, layer: Int) throws(KVSieveError) -> Frame {
        let tokens = length.seen
        if tokens <= max(sinks + recent, window) { return .whole(length) }
        // E8: of a sequence that grew into this, the protected tokens alone are kept.
        guard slots(tokens) >= heads * (sinks + recent) || length.new < tokens else {
            throw KVSieveError(
                .budget,
                "ratio \(ratio) of \(tokens) tokens cannot hold the \(sinks) first and \(recent) last tokens of each of"
                    + " \(heads) heads; the smallest ratio is \(smallestRatio(tokens))")
        }
        return Frame(length, sinks: sinks, recent: recent)
    }

    /// B.
    private func slots(_ tokens: Int) -> Int { Int((ratio * Double(heads * tokens)).rounded(.down)) }

    /// Rounded up to a millionth, so that the number as printed is enough.
    private func smallestRatio(_ tokens: Int) -> Double {
        min(1, (Double(sinks + recent) / Double(tokens) * 1e6).rounded(.up) / 1e6)
    }

    func score(
        _ layer: LayerView, _ frame: Frame, _ work: Workspace, into scores: LayerScores
    ) throws(KVSieveError) {
        try scores.reserve(rows: heads, units: frame.units)
        let vectors = try SemanticVectors(layer, best: best, work)
        let attention = try WindowAttention(layer)
        let terms = attention.rows * layer.shape.group
        try attention.forEachHead(work) { (columns: HeadColumns) throws(KVSieveError) in
            columns.divide(by: terms)
            columns.store(frame, pooled: .mean, kernel: kernel, into: scores)  // T7
            try vectors.add(columns)
        }
        try vectors.mark(scores)
    }

    /// f(l) before the budget is looked at (T3). As one quotient, so that whole numbers come out whole.
    static func fullHeads(layer: Int, layers: Int, heads: Int, beta: Double, top: Int) -> Int {
        let bottom = Double(heads) * beta
        let last = Double(layers - 1)
        let value = layers == 1 ? bottom : (bottom * (last - Double(layer)) + Double(top) * Double(layer)) / last
        return min(max(Int(value.rounded(.down)), 0), heads)
    }

    /// f and k with the budget B kept (T4): f is lowered until k >= 0.
    static func share(slots: Int, tokens: Int, heads: Int, protected: Int, full: Int) -> (full: Int, middle: Int) {
        func middle(_ full: Int) -> Int? {
            if full == heads { return slots >= tokens * heads ? 0 : nil }
            let left = slots - tokens * full
            let middle = left < 0 ? -1 : left / (heads - full) - protected
            return middle >= 0 ? middle : nil
        }
        if let middle = middle(full) { return (full, middle) }
        let lowered = min(max((slots - heads * protected) / (tokens - protected), 0), full)
        return (lowered, middle(lowered) ?? 0)
    }

    func budgets(
        after layer: Int, _ frame: Frame, _ scores: ScoreTable, _ work: Workspace, into budgets: BudgetTable
    ) throws(KVSieveError) {
        let wanted = Self.fullHeads(layer: layer, layers: layers, heads: heads, beta: beta, top: top)
        let tokens = frame.length.seen
        let (full, middle) = Self.share(
            slots: slots(tokens), tokens: tokens, heads: heads, protected: sinks + recent, full: wanted)
        let chosen = ChosenHeads(scores.layers[layer]?.marks ?? Numbers(), full)
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

    /// How many heads come before this one when the farthest is first.
    private func farther(than head: Int) -> Int {
        distances.indices.count { other in
            distances[other] > distances[head] || distances[other] == distances[head] && other < head
        }
    }
}

// AhaKV - entropy-steady scores and value norms. Gu et al. 2025, arXiv 2506.03762, after secondary accounts
//
//     row i (tokens seen so far, its own included: A1) has logits g_i z, g_i = sqrt(2 ln(i / C)); i <= C: gain 0
//     S_j      column sum over the last r = W rows, mean over the group (A5), pooled by score_kernel (A12)
//     nu_j     = ||V_j||^2, gamma_j = mean pool of nu over all tokens (A6)
//     score    (gamma_j / max gamma) * S_j
//     keep     the last r (and the first `sinks`, A9), and the best C - r - sinks of the others, per head
//
// Prefill; every decoding step frees one slot. Decisions A1 ... A12: README.md.
import KVSieveCore

struct AhaKV: Method {
    static let gainFloor = Parameter(
        200, "gain_floor", 0, 0...1, .real, "least gain of the scoring softmax; 1: never flatter than the model's")
    static let sinks = Parameter(
        201, "sinks", 0, 0...4096, .whole, "first tokens kept by force; they count against the budget")
    static let scoreKernel = Parameter(
        202, "score_kernel", 1, 1...63, .odd,
        "kernel that attention is pooled with, odd; 1 keeps single tokens (running text), 15 their neighbours (exact strings)"
    )
    static let row = MethodRow(
        id: 1, name: "ahakv", summary: "entropy-steady attention times value norms",
        choose: "generation is long: one budget holds at prefill and at every step after it",
        paper: "arXiv 2506.03762",
        parameters: [
            Shared.budget, Shared.ratio, Shared.window, Shared.poolKernel, Shared.pool, Shared.threads, Shared.decoding,
            gainFloor, sinks, scoreKernel,
        ] + Shared.shape + Shared.attention)

    private let budget: Budget
    /// r, the recent tokens that are never evicted.
    private let window: Int
    private let kernel: Int
    private let pool: Pool
    private let scoreKernel: Int
    private let gainFloor: Double
    private let sinks: Int

    init(_ settings: Settings, _ shape: ModelShape) {
        (budget, window, pool, kernel) = (settings.budget, settings.window, settings.pool, settings.kernel)
        gainFloor = settings[Self.gainFloor]
        (sinks, scoreKernel) = (settings.int(Self.sinks), settings.int(Self.scoreKernel))
    }

    var reads: Reads { .queries(.last(window), detail: .rows).andValues }

    func frame(_ length: CacheLength, layer: Int) throws(KVSieveError) -> Frame {
        guard window >= kernel / 2 else {
            throw KVSieveError(
                .budget,
                "window \(window) is less than half of pool_kernel \(kernel): a token's value norm would be pooled before its"
                    + " neighbours came; the smallest window is \(kernel / 2)")
        }
        return try budget.frame(length, sinks: sinks, recent: window) {
            "\(sinks) sinks and the window of \(window) tokens"
        }
    }

    /// g of a row that has seen so many tokens (A1, A2, A11).
    static func gain(seen: Int, budget: Int, floor: Double) -> Double {
        let gain = seen > budget ? (2 * naturalLogarithm(Double(seen) / Double(budget))).squareRoot() : 0
        return max(gain, floor)
    }

    func score(_ layer: Layer) throws(KVSieveError) -> HeadTable? {
        let prior = try layer.squaredValueNorms(pooled: kernel).candidates(layer.frame).overMaximum()
        let (budget, floor) = (budget.of(layer.length), gainFloor)
        return try layer.attention(gain: { Self.gain(seen: $0, budget: budget, floor: floor) })
            .candidates(layer.frame).pooled(pool, kernel: scoreKernel).times(prior)
    }

    func decoding(_ length: CacheLength) throws(KVSieveError) -> DecodeRule? {
        let protected = self.budget.protectedRows(length, sinks: sinks)
        let (budget, floor) = (budget.whileDecoding(length, protected: sinks + window + protected), gainFloor)
        return DecodeRule(
            budget: budget, recent: window, sinks: sinks, protected: protected, evidence: .lastRows(window),
            pooled: (pool, scoreKernel),
            valueKernel: kernel, gain: { Self.gain(seen: $0, budget: budget, floor: floor) })
    }
}

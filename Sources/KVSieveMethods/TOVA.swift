// TOVA - what the newest query looks at. Oren et al. 2024, arXiv 2401.06104
//
//     score    the newest query's softmax over all tokens, mean over all query heads: one choice for the layer
//     keep     the newest token and the best C - 1 of the others
//
// While decoding the slot with the lowest score of the newest row is freed, the same in every head.
import KVSieveCore

struct TOVA: Method {
    static let row = MethodRow(
        id: 10, name: "tova", summary: "attention of the newest query, one choice for all heads of a layer",
        choose: "your engine evicts at every step and keeps one set of rows for a layer",
        paper: "arXiv 2401.06104",
        parameters: [Shared.budget, Shared.ratio, Shared.threads, Shared.decoding] + Shared.shape + Shared.attention)

    private let budget: Budget

    init(_ settings: Settings, _ shape: ModelShape) { budget = settings.budget }

    var reads: Reads { .queries(.last(1)) }

    func frame(_ length: CacheLength, layer: Int) throws(KVSieveError) -> Frame {
        try budget.frame(length, recent: 1) { "the newest token" }
    }

    func score(_ layer: Layer) throws(KVSieveError) -> HeadTable? {
        try layer.attention().meanOfRows().candidates(layer.frame)
    }

    func decoding(_ length: CacheLength) throws(KVSieveError) -> DecodeRule? {
        DecodeRule(
            budget: budget.of(length), recent: 1, protected: budget.protectedRows(length), evidence: .lastRows(1),
            together: true)
    }
}

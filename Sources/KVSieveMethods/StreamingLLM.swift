// StreamingLLM - first and recent tokens. Xiao et al. 2023, arXiv 2309.17453
//
//     keep     the first `sinks` and the most recent C - sinks; no tensor is read
//
// While decoding the oldest token outside the first ones is evicted.
import KVSieveCore

struct StreamingLLM: Method {
    static let sinks = Parameter(1000, "sinks", 4, 0...4096, .whole, "first tokens kept by force")
    static let row = MethodRow(
        id: 9, name: "streamingllm", summary: "the first and the most recent tokens",
        choose: "only recent text matters, or the engine can hand over no tensor",
        paper: "arXiv 2309.17453",
        parameters: [Shared.budget, Shared.ratio, Shared.threads, Shared.decoding, sinks] + Shared.shape)

    private let budget: Budget
    private let sinks: Int

    init(_ settings: Settings, _ shape: ModelShape) {
        (budget, sinks) = (settings.budget, settings.int(Self.sinks))
    }

    var reads: Reads { .nothing }

    func frame(_ length: CacheLength, layer: Int) throws(KVSieveError) -> Frame {
        let frame = try budget.frame(length, sinks: sinks, recent: 1) { "\(sinks) sinks and the newest token" }
        return frame.units == 0
            ? frame
            : Frame(
                length, sinks: frame.sinks, recent: frame.tail(frame.unitsInBudget), unit: frame.unit,
                budget: frame.budget)
    }

    func decoding(_ length: CacheLength) throws(KVSieveError) -> DecodeRule? {
        let protected = self.budget.protectedRows(length, sinks: sinks)
        let budget = budget.whileDecoding(length, protected: sinks + 1 + protected)
        return DecodeRule(
            budget: budget, recent: budget - sinks - protected, sinks: sinks, protected: protected, evidence: .none)
    }
}

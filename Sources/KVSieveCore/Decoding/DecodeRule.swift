// What a method says of decoding: which tokens may leave, and by what evidence.

public struct DecodeRule: Sendable {
    public enum Evidence: Sendable {
        /// The score rows of the last r queries, over the living slots.
        case lastRows(Int)
        /// The score rows of all queries that ever came.
        case allRows
    }

    /// C, slots a head.
    let budget: Int
    /// The last tokens, which never leave.
    let recent: Int
    /// The first tokens, which never leave.
    let sinks: Int
    let evidence: Evidence
    /// Kernel of the pooled squared value norms that scores are multiplied with; nil: no values are read.
    let valueKernel: Int?
    /// g of a row whose query has seen so many tokens, its own included: scores are softmax(g * scale * q . k).
    let gain: @Sendable (_ seen: Int) -> Double

    public init(
        budget: Int, recent: Int, sinks: Int = 0, evidence: Evidence, valueKernel: Int? = nil,
        gain: @escaping @Sendable (_ seen: Int) -> Double = { _ in 1 }
    ) {
        self.budget = budget
        self.recent = recent
        self.sinks = sinks
        self.evidence = evidence
        self.valueKernel = valueKernel
        self.gain = gain
    }

    /// Rows that the evidence remembers.
    var rows: Int {
        if case .lastRows(let rows) = evidence { return rows }
        return 0
    }
}

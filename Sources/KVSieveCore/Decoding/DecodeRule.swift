// A method's rule of decoding: which tokens may be evicted, and by what evidence.

public struct DecodeRule: Sendable {
    public enum Kind: Sendable, Equatable {
        /// None: the oldest token is evicted.
        case none
        /// The score rows of the last r queries, over the slots in use.
        case lastRows(Int)
        /// The score rows of all queries since the prompt began.
        case allRows
    }

    /// C, slots a head.
    let budget: Int
    /// How many of the last tokens are never evicted.
    let recent: Int
    /// How many of the first tokens are never evicted.
    let sinks: Int
    /// How many tokens after the sinks the caller protects: they are never evicted.
    let protected: Int
    let evidence: Kind
    /// Do the heads of a layer make one choice, by the mean of their rows? Values are not read then.
    let together: Bool
    /// How a slot's score is pooled over the slots near its position; nil: not at all.
    let pooled: (pool: Pool, kernel: Int)?
    /// Kernel of the pooled squared value norms that scores are multiplied with; nil: no values are read.
    let valueKernel: Int?
    /// g of a row whose query has seen so many tokens, its own included: scores are softmax(g * scale * q . k).
    let gain: @Sendable (_ seen: Int) -> Double

    public init(
        budget: Int, recent: Int, sinks: Int = 0, protected: Int, evidence: Kind, together: Bool = false,
        pooled: (pool: Pool, kernel: Int)? = nil, valueKernel: Int? = nil,
        gain: @escaping @Sendable (_ seen: Int) -> Double = { _ in 1 }
    ) {
        // A short prompt is kept whole even if its share is less than what is never evicted.
        self.budget = max(budget, recent + sinks + protected)
        self.recent = recent
        self.sinks = sinks
        self.protected = protected
        self.evidence = evidence
        self.together = together
        self.pooled = pooled.flatMap { $0.kernel > 1 ? $0 : nil }
        self.valueKernel = together ? nil : valueKernel
        self.gain = gain
    }

    /// Was it made for so many protected tokens?
    func suits(_ length: CacheLength) -> Bool {
        length.protected.mostRows(from: sinks, unit: 1, aligned: true) == protected
    }

    /// Does a sequence under this rule need exactly the memory of one under the other?
    func suits(_ other: DecodeRule) -> Bool {
        other.budget == budget && other.recent == recent && other.protected == protected && other.evidence == evidence
            && other.together == together && other.pooled?.kernel == pooled?.kernel && other.valueKernel == valueKernel
    }

    /// What a step reads.
    var needs: Needs {
        if evidence == .none { return .length }
        return valueKernel == nil ? [.queries, .keys] : [.queries, .keys, .values]
    }
}

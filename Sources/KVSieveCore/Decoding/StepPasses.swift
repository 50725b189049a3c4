// The part of a step on the plan's threads: first all heads are checked, then the choices take the tokens, one after another.

/// The logits and values of a key/value head: computed if they were not given, and checked to be finite.
struct CheckHeads: ParallelWork {
    let rule: DecodeRule
    let living: Int
    let input: StepInput
    let workspace: Workspace
    let checked: CheckedLogits

    func work(on head: Int, with worker: WorkerBuffers) throws(KVSieveError) {
        try input.make(head, workspace, worker)
        let group = input.shape.group
        let logits = try input.logits(fromQueryHead: head * group, workspace)
        let maxima = checked.maxima(fromQueryHead: head * group)
        for row in 0..<(group * input.new) {
            let visible = living + row % input.new + 1
            maxima[row] = kernels.row_maximum(logits[row], Int64(visible))
            guard maxima[row].isFinite else {
                throw KVSieveError(
                    .nonfinite,
                    "logits of layer \(input.layer), kv head \(head), new token \(row % input.new) have NaN or infinity"
                )
            }
        }
        guard let kernel = rule.valueKernel else { return }
        let norms = checked.norms(head)
        for i in 0..<input.new {
            norms[i] = try input.norm(head, i, worker)
            guard (norms[i] * Float(kernel)).isFinite else {
                throw KVSieveError(
                    .nonfinite,
                    "values of layer \(input.layer), kv head \(head), new token \(i) have NaN or infinity, or a squared norm"
                        + " that overflows")
            }
        }
    }
}

/// What is known of a step's tokens after the check.
struct CheckedLogits: @unchecked Sendable {
    /// (Hq, m) greatest logits, then (H, m) squared norms.
    private let start: UnsafeMutablePointer<Float>
    private let queryHeads: Int
    private let tokens: Int

    init(_ input: StepInput, _ work: Workspace) throws(KVSieveError) {
        (queryHeads, tokens) = (input.shape.queryHeads, input.new)
        start = try work.checkedLogits.reserve((queryHeads + input.shape.heads) * tokens)
    }

    func maxima(fromQueryHead first: Int) -> UnsafeMutablePointer<Float> { start + first * tokens }
    func norms(_ head: Int) -> UnsafeMutablePointer<Float> { start + (queryHeads + head) * tokens }
}

/// The tokens of one choice of a layer.
struct StepChoices: ParallelWork, @unchecked Sendable {
    let layer: DecodingLayer
    let input: StepInput
    let workspace: Workspace
    let checked: CheckedLogits
    /// Position of the first new token.
    let first: Int
    /// (H, m).
    let slot: UnsafeMutablePointer<Int32>

    func work(on choice: Int, with worker: WorkerBuffers) throws(KVSieveError) {
        try layer.step(choice, self, worker)
    }
}

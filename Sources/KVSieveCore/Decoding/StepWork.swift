// What the plan's threads do of a step, a head at a time: all heads are checked before the first is changed.

struct CheckHeads: Piecework {
    let layer: DecodingLayer
    let input: StepInput
    let workspace: Workspace
    let findings: Findings

    func work(on head: Int, with worker: WorkerBuffers) throws(KVSieveError) {
        try input.make(head, workspace, worker)
        try layer.check(input, head, workspace, worker, findings.of(head))
    }
}

struct StepHeads: Piecework, @unchecked Sendable {
    let layer: DecodingLayer
    let input: StepInput
    let workspace: Workspace
    let findings: Findings
    /// Position of the first new token.
    let first: Int
    /// (H, m).
    let evict: UnsafeMutablePointer<Int32>

    func work(on head: Int, with worker: WorkerBuffers) throws(KVSieveError) {
        try layer.step(
            head, input, input.logits(head, workspace), first, worker, findings.of(head), evict + head * input.tokens)
    }
}

/// What is known of each head's new tokens once they are checked.
struct Findings: @unchecked Sendable {
    typealias OfHead = (maxima: UnsafeMutablePointer<Float>, norms: UnsafeMutablePointer<Float>)
    /// (H) of (G, m) greatest logits and (m) squared norms.
    private let start: UnsafeMutablePointer<Float>
    private let group: Int
    private let tokens: Int

    init(_ heads: Int, _ input: StepInput, _ work: Workspace) throws(KVSieveError) {
        (group, tokens) = (input.shape.group, input.tokens)
        start = try work.head.tileSums.reserve(heads * (group + 1) * tokens)
    }

    func of(_ head: Int) -> OfHead {
        let maxima = start + head * (group + 1) * tokens
        return (maxima, maxima + group * tokens)
    }
}

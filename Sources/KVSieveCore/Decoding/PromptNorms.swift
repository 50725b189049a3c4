// Squared value norms with which a decoding layer begins: pooled over the true sequence around each kept token, and those of the
// last tokens, which later tokens have as neighbours.

struct PromptNorms: ParallelWork {
    private let prompt: PromptEvidence
    private let slots: [HeadSlots]
    private let values: TensorView
    private let kernel: Int

    init(_ prompt: PromptEvidence, _ slots: [HeadSlots], _ kernel: Int) throws(KVSieveError) {
        guard let values = prompt.layer.view.values else { throw prompt.layer.missing("values") }
        self.prompt = prompt
        self.slots = slots
        self.values = values
        self.kernel = kernel
        for worker in prompt.layer.work.workers { try worker.oneRow.reserve(values.dim) }
    }

    func work(on head: Int, with worker: WorkerBuffers) throws(KVSieveError) {
        let row = try worker.oneRow.reserve(values.dim)
        let own = slots[head]
        let (selection, seen) = (prompt.selection, prompt.layer.length.seen)
        let first = Int(selection.offsets[head])
        for index in first..<Int(selection.offsets[head + 1]) {
            let position = Int(selection.positions[index])
            var sum: Float = 0
            for near in max(0, position - kernel / 2)...min(seen - 1, position + kernel / 2) {
                sum += try norm(head, near, row)
            }
            own.gamma[index - first] = sum / Float(kernel)
        }
        for position in max(0, seen - kernel)..<seen {
            own.norms[position % kernel] = try norm(head, position, row)
        }
    }

    /// - Parameter row: scratch, a row of values.
    private func norm(
        _ head: Int, _ position: Int, _ row: UnsafeMutablePointer<Float>
    ) throws(KVSieveError) -> Float {
        values.type.widen(values.row(head, position), row, values.dim)
        let norm = kernels.squared_norm(row, Int64(values.dim))
        guard (norm * Float(kernel)).isFinite else {
            throw KVSieveError(
                .nonfinite,
                "values of layer \(prompt.layer.index), kv head \(head), token \(position) have NaN or infinity, or a"
                    + " squared norm that overflows")
        }
        return norm
    }
}

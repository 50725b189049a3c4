// Squared value norms that a decoding layer begins with: pooled over the true sequence around each kept token, and those of the
// last tokens for the neighbours still to come.

struct SeedNorms: Piecework {
    private let decoding: DecodingLayer
    private let layer: LayerView
    private let values: TensorView
    private let selection: Selection
    private let kernel: Int

    init(
        _ decoding: DecodingLayer, _ layer: LayerView, _ selection: Selection, _ kernel: Int, _ work: Workspace
    ) throws(KVSieveError) {
        guard let values = layer.values else {
            throw KVSieveError(.null, "values are NULL, but layer \(layer.layer) reads them")
        }
        self.decoding = decoding
        self.layer = layer
        self.values = values
        self.selection = selection
        self.kernel = kernel
        for worker in work.workers { try worker.keyTile.reserve(values.dim) }
    }

    func work(on head: Int, with worker: WorkerBuffers) throws(KVSieveError) {
        let row = try worker.keyTile.reserve(values.dim)
        let decoded = decoding.head(head)
        let first = Int(selection.offsets[head])
        for index in first..<Int(selection.offsets[head + 1]) {
            let position = Int(selection.positions[index])
            var sum: Float = 0
            for near in max(0, position - kernel / 2)...min(layer.length.seen - 1, position + kernel / 2) {
                sum += try norm(head, near, row)
            }
            decoded.gamma[index - first] = sum / Float(kernel)
        }
        for position in max(0, layer.length.seen - kernel)..<layer.length.seen {
            decoded.norms[position % kernel] = try norm(head, position, row)
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
                "values of layer \(layer.layer), kv head \(head), token \(position) have NaN or infinity, or a"
                    + " squared norm that overflows")
        }
        return norm
    }
}

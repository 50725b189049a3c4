// AhaKV's value prior: nu_j = ||V_j||^2, gamma_j = mean pool of nu over the true sequence (all T tokens, zeros beyond both
// ends, divided by the kernel), prior_j = gamma_j / max gamma over the candidates. Values (H, T, Dv), read once.

public struct ValueNorms: Sendable {
    private let layer: LayerView
    private let frame: Frame
    private let kernel: Int
    private let values: TensorView
    private let scores: LayerScores

    /// scores[h, j] *= prior[h, j]. When every candidate's gamma is 0 so is the prior.
    public static func multiply(
        _ layer: LayerView, _ frame: Frame, kernel: Int, _ work: Workspace, into scores: LayerScores
    ) throws(KVSieveError) {
        guard let values = layer.values else {
            throw KVSieveError(.null, "values are NULL, but layer \(layer.layer) reads them")
        }
        for worker in work.workers {
            try worker.row.reserve(2 * layer.length.longest)
            try worker.keyTile.reserve(values.dim)
        }
        try work.forEach(
            layer.shape.heads,
            ValueNorms(layer: layer, frame: frame, kernel: kernel, values: values, scores: scores))
    }
}

extension ValueNorms: Piecework {
    func work(on head: Int, with worker: WorkerBuffers) throws(KVSieveError) {
        let tokens = layer.length.rows(head)
        let frame = frame.of(head)
        let norms = try worker.row.reserve(2 * tokens)
        let pooled = norms + tokens
        let row = try worker.keyTile.reserve(values.dim)
        for token in 0..<tokens { norms[token] = try squaredNorm(head, token, row) }
        kernels.pool_mean(norms, Int64(tokens), Int64(kernel), pooled)
        var highest: Float = 0
        for token in frame.candidates { highest = max(highest, pooled[token]) }
        guard highest.isFinite else {
            throw KVSieveError(
                .nonfinite,
                "values of layer \(layer.layer), kv head \(head) are so large that squared norms overflow in their sum")
        }
        let out = scores.row(head)
        // Divided, not multiplied by an inverse, which overflows for norms near the smallest float.
        let divisor = highest > 0 ? highest : 1
        for j in 0..<frame.units { out[j] *= pooled[frame.sinks &+ j] / divisor }
    }

    /// nu of a token.
    /// - Parameter row: scratch, a row of values.
    @inline(__always) private func squaredNorm(
        _ head: Int, _ token: Int, _ row: UnsafeMutablePointer<Float>
    ) throws(KVSieveError) -> Float {
        let source = values.row(head, token)
        var floats = UnsafePointer(source.assumingMemoryBound(to: Float.self))
        if values.type != .float32 {
            values.type.widen(source, row, values.dim)
            floats = UnsafePointer(row)
        }
        let norm = kernels.squared_norm(floats, Int64(values.dim))
        guard norm.isFinite else {
            throw KVSieveError(
                .nonfinite,
                "values of layer \(layer.layer), kv head \(head), token \(token) have NaN or infinity, or a"
                    + " squared norm that overflows")
        }
        return norm
    }
}

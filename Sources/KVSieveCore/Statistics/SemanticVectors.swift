// Task-KV's semantic vectors (2501.15113): v_h = sum over the best t columns of C[h, j] * V[h, j]; the centre is their mean
// over the layer's heads, a head's mark its distance from the centre. Values (H, T, Dv): only the t rows of a head are read.

public struct SemanticVectors {
    private let values: TensorView
    private let shape: ModelShape
    private let layer: Int
    private let vectors: UnsafeMutablePointer<Float>
    private let best: Int
    private let worker: WorkerBuffers
    /// Squared distances of the heads.
    private let squares: UnsafeMutablePointer<Double>

    /// - Parameter best: t; all columns when the sequence is shorter.
    public init(_ layer: LayerView, best: Int, _ work: Workspace) throws(KVSieveError) {
        guard let values = layer.values else {
            throw KVSieveError(.null, "values are NULL, but layer \(layer.layer) reads them")
        }
        self.values = values
        shape = layer.shape
        self.layer = layer.layer
        self.best = min(best, layer.length.longest)
        try work.intermediate.reserve(rows: layer.shape.heads, units: values.dim)
        guard let vectors = work.intermediate.row(0).baseAddress else {
            throw KVSieveError(.memory, "out of memory: no room for semantic vectors")
        }
        self.vectors = vectors
        worker = work.caller
        squares = try work.headSums.reserve(layer.shape.heads)
    }

    /// The vector of one head; its columns are one row over all its tokens.
    public func add(_ columns: HeadColumns) throws(KVSieveError) {
        let best = min(best, columns.tokens)
        let ranks = try worker.ranks.reserve(best)
        let row = try worker.keyTile.reserve(values.dim)
        let histogram = try worker.histogram.reserve(RankThreshold.histogramSize)
        let vector = vectors + columns.head * values.dim
        vector.update(repeating: 0, count: values.dim)
        BestUnits.select(
            UnsafeBufferPointer(start: columns.sums, count: columns.tokens), count: best, histogram: histogram,
            out: ranks)
        for r in 0..<best {
            let token = Int(ranks[r])
            values.type.widen(values.row(columns.head, token), row, values.dim)
            kernels.add_scaled(row, columns.sums[token], Int64(values.dim), vector)
        }
        for d in 0..<values.dim where !vector[d].isFinite {
            throw KVSieveError(
                .nonfinite,
                "values of layer \(layer), kv head \(columns.head) have NaN or infinity in a row that is read")
        }
    }

    /// marks[h] = ||v_h - mean_h v_h||, once all heads have been added.
    public func mark(_ scores: LayerScores) throws(KVSieveError) {
        squares.update(repeating: 0, count: shape.heads)
        for d in 0..<values.dim {
            var sum = 0.0
            for head in 0..<shape.heads { sum += Double(vectors[head * values.dim + d]) }
            let centre = sum / Double(shape.heads)
            for head in 0..<shape.heads {
                let difference = Double(vectors[head * values.dim + d]) - centre
                squares[head] += difference * difference
            }
        }
        let marks = try scores.reserveMarks(shape.heads)
        for head in 0..<shape.heads { marks[head] = Float(squares[head].squareRoot()) }
    }
}

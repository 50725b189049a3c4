// The attention that the last W queries pay to all T keys, reduced to one number a key:
//
//     z[i, j]  = g_i * scale * q_i . k_j             i < W (row i is position T - W + i),  causal: j <= T - W + i
//     P[i, j]  = softmax_j z[i, j]                   over all T keys, in float32
//     s[j]     = sum over the W rows (and over the G query heads of the group) of P[i, j]
//
// One product a key/value head: (G*W, D) by (D, T), the group's query rows against keys that are never repeated. T is walked
// in tiles: a tile's keys are widened to floats if they are not, multiplied, and each row's logits become exp(z - m) with the
// tile's own maximum m while they are in cache. When a row's last tile is done its true maximum and sum are known, and each
// tile's share of the row is one factor exp(m_tile - m_row) / sum: the columns are added up with these as weights. So logits
// are written once and read once. At most `logitsLimit` of them are held; beyond that the rows go in several passes over the
// keys, in parts that do not depend on the number of threads. Rows are added in order, whatever the parts.

public struct WindowAttention: Sendable {
    /// Keys of a tile: (G*W, tile) logits and (tile, D) keys stay in the second-level cache.
    static let tile = 1024
    /// Floats of logits a worker holds at once; at least one row.
    static let logitsLimit = 2 << 20

    let layer: LayerView
    let queries: TensorView
    let keys: TensorView
    /// W.
    let rows: Int
    /// g_i of the W rows; empty: all 1.
    let gains: [Float]

    public init(_ layer: LayerView, gains: [Float] = []) throws(KVSieveError) {
        guard let queries = layer.queries, let keys = layer.keys else {
            throw KVSieveError(.null, "queries or keys are NULL, but layer \(layer.layer) reads them")
        }
        self.layer = layer
        self.queries = queries
        self.keys = keys
        rows = queries.tokens
        self.gains = gains
    }

    private var groupRows: Int { layer.shape.group * rows }
    private var tileCount: Int { (layer.tokens + Self.tile - 1) / Self.tile }
    private var rowsAtOnce: Int { max(1, min(groupRows, Self.logitsLimit / (tileCount * Self.tile))) }
    private var keysAreReadInPlace: Bool {
        keys.type == .float32 && keys.tokenStride / 4 <= MatrixProduct.longestStride
    }

    /// Column sums of each key/value head, in parallel.
    /// - Parameters:
    ///   - perQueryHead: one row of sums for each query head of the group instead of one for the group.
    ///   - body: gets a head's sums; called once a head, on any thread.
    public func forEachHead(
        _ work: Workspace, perQueryHead: Bool = false,
        _ body: @escaping @Sendable (HeadColumns) throws(KVSieveError) -> Void
    ) throws(KVSieveError) {
        let sumRows = perQueryHead ? layer.shape.group : 1
        for worker in work.workers {
            try worker.queryRows.reserve(rowsAtOnce * layer.shape.headDim)
            if !keysAreReadInPlace { try worker.keyTile.reserve(min(Self.tile, layer.tokens) * layer.shape.headDim) }
            try worker.logits.reserve(rowsAtOnce * tileCount * Self.tile)
            try worker.tileMaxima.reserve(rowsAtOnce * tileCount)
            try worker.tileSums.reserve(rowsAtOnce * tileCount)
            try worker.tileWeights.reserve(rowsAtOnce * tileCount)
            try worker.columns.reserve(sumRows * layer.tokens)
            try worker.row.reserve(layer.tokens)
            try worker.histogram.reserve(RankThreshold.histogramSize)
        }
        try work.forEach(layer.shape.heads) { (head: Int, worker: WorkerBuffers) throws(KVSieveError) in
            let sums = try worker.columns.reserve(sumRows * layer.tokens)
            sums.update(repeating: 0, count: sumRows * layer.tokens)
            var first = 0
            while first < groupRows {
                let part = first..<min(first + rowsAtOnce, groupRows)
                try addColumns(head, part, worker, sums, perQueryHead)
                first = part.upperBound
            }
            try body(HeadColumns(layer: layer, head: head, sums: sums, sumRows: sumRows, worker: worker))
        }
    }

    /// Adds the columns of the group's rows `part` (row r is query head r / W of the group, window row r % W) to `sums`.
    private func addColumns(
        _ head: Int, _ part: Range<Int>, _ worker: WorkerBuffers, _ sums: UnsafeMutablePointer<Float>,
        _ perQueryHead: Bool
    ) throws(KVSieveError) {
        let count = part.count
        let packed = try worker.queryRows.reserve(rowsAtOnce * layer.shape.headDim)
        let logits = try worker.logits.reserve(rowsAtOnce * tileCount * Self.tile)
        let maxima = try worker.tileMaxima.reserve(rowsAtOnce * tileCount)
        let totals = try worker.tileSums.reserve(rowsAtOnce * tileCount)
        let weights = try worker.tileWeights.reserve(rowsAtOnce * tileCount)
        packQueries(head, part, packed)
        for tile in 0..<tileCount {
            let columns = columnRange(tile)
            let target = logits + tile * count * Self.tile
            try multiply(head, columns, packed, count, worker, target)
            for r in 0..<count {
                let seen = layer.tokens - rows + (part.lowerBound + r) % rows + 1
                let valid = min(max(seen - columns.lowerBound, 0), columns.count)
                let row = target + r * Self.tile
                let place = tile * count + r
                guard kernels.row_exponentials(row, Int64(valid), maxima + place, totals + place) == 1 else {
                    throw KVSieveError(
                        .nonfinite,
                        "queries or keys of layer \(layer.layer), kv head \(head) have NaN or infinity, or their product"
                            + " overflows")
                }
                (row + valid).update(repeating: 0, count: columns.count - valid)
            }
        }
        joinTiles(count, maxima, totals, weights)
        for tile in 0..<tileCount {
            let columns = columnRange(tile)
            let source = logits + tile * count * Self.tile
            var r = 0
            while r < count {
                // One run of rows for the group, or one a query head.
                let queryHead = (part.lowerBound + r) / rows
                let run = perQueryHead ? min(count - r, (queryHead + 1) * rows - part.lowerBound - r) : count
                kernels.weighted_columns(
                    source + r * Self.tile, Int64(run), Int64(Self.tile), weights + tile * count + r,
                    sums + (perQueryHead ? queryHead * layer.tokens : 0) + columns.lowerBound, Int64(columns.count))
                r += run
            }
        }
    }

    private func columnRange(_ tile: Int) -> Range<Int> {
        tile * Self.tile..<min((tile + 1) * Self.tile, layer.tokens)
    }

    /// Query rows as floats, times scale and gain: (part.count, D), contiguous.
    private func packQueries(_ head: Int, _ part: Range<Int>, _ packed: UnsafeMutablePointer<Float>) {
        let dim = layer.shape.headDim
        for (r, row) in part.enumerated() {
            let target = packed + r * dim
            queries.type.widen(queries.row(head * layer.shape.group + row / rows, row % rows), target, dim)
            let factor = layer.shape.scale * (gains.isEmpty ? 1 : gains[row % rows])
            for d in 0..<dim { target[d] *= factor }
        }
    }

    /// Logits of a tile: out (count, tile).
    private func multiply(
        _ head: Int, _ columns: Range<Int>, _ packed: UnsafeMutablePointer<Float>, _ count: Int,
        _ worker: WorkerBuffers, _ out: UnsafeMutablePointer<Float>
    ) throws(KVSieveError) {
        let dim = layer.shape.headDim
        let first = keys.row(head, columns.lowerBound)
        if keysAreReadInPlace {
            MatrixProduct.transposed(
                packed, rows: count, first.assumingMemoryBound(to: Float.self), columns: columns.count,
                stride: keys.tokenStride / 4, depth: dim, into: out, outStride: Self.tile)
            return
        }
        let floats = try worker.keyTile.reserve(min(Self.tile, layer.tokens) * dim)
        if keys.tokenStride == keys.rowBytes {
            keys.type.widen(first, floats, columns.count * dim)
        } else {
            for j in 0..<columns.count { keys.type.widen(first + j * keys.tokenStride, floats + j * dim, dim) }
        }
        MatrixProduct.transposed(
            packed, rows: count, floats, columns: columns.count, stride: dim, depth: dim, into: out,
            outStride: Self.tile)
    }

    /// weights[tile, r] = exp(m_tile - m_row) / sum_row, from each tile's maximum and sum.
    private func joinTiles(
        _ count: Int, _ maxima: UnsafePointer<Float>, _ totals: UnsafePointer<Float>,
        _ weights: UnsafeMutablePointer<Float>
    ) {
        for r in 0..<count {
            var highest = -Float.infinity
            for tile in 0..<tileCount { highest = max(highest, maxima[tile * count + r]) }
            var sum = 0.0
            for tile in 0..<tileCount {
                sum += Double(totals[tile * count + r]) * naturalExponential(Double(maxima[tile * count + r] - highest))
            }
            for tile in 0..<tileCount {
                weights[tile * count + r] = Float(naturalExponential(Double(maxima[tile * count + r] - highest)) / sum)
            }
        }
    }
}

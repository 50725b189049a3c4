// What a method may do with the column sums of one key/value head: scale them, cut them to the candidates, pool, store.

public enum Pool: Sendable { case mean, max }

public struct HeadColumns: @unchecked Sendable {
    let layer: LayerView
    /// Key/value head, 0 ..< H.
    public let head: Int
    /// (sumRows, T): one row for the group, or one for each of its query heads.
    let sums: UnsafeMutablePointer<Float>
    let sumRows: Int

    /// T, rows of the head's cache.
    var tokens: Int { layer.length.rows(head) }

    /// G, the query heads of the group.
    public var group: Int { layer.shape.group }

    /// Divides every sum.
    public func divide(by count: Int) {
        let factor = 1 / Float(count)
        for j in 0..<(sumRows * tokens) { sums[j] *= factor }
    }

    /// total[head] += the columns, from the first token on.
    func add(to total: LayerScores) {
        guard let out = total.row(head).baseAddress else { return }
        kernels.add_scaled(sums, 1, Int64(tokens), out)
    }

    /// scores[head] = the candidates' columns. Sinks and recent positions are cut off before anything is pooled.
    public func store(_ frame: Frame, into scores: LayerScores) {
        guard let out = scores.row(head).baseAddress else { return }
        let range = frame.of(head).candidates
        out.update(from: sums + range.lowerBound, count: range.count)
    }

    /// scores[head] = pooled columns of the candidates.
    public func store(_ frame: Frame, pooled pool: Pool, kernel: Int, into scores: LayerScores) {
        guard let out = scores.row(head).baseAddress else { return }
        let range = frame.of(head).candidates
        let candidates = sums + range.lowerBound
        let count = Int64(range.count)
        switch pool {
        case .mean: kernels.pool_mean(candidates, count, Int64(kernel), out)
        case .max: kernels.pool_max(candidates, count, Int64(kernel), out)
        }
    }
}

extension WindowAttention {
    /// scores (H, candidates): group-mean column sums, pooled. DynamicKV's and SnapKV's whole score.
    public func poolScores(
        _ frame: Frame, _ pool: Pool, kernel: Int, _ work: Workspace, into scores: LayerScores
    ) throws(KVSieveError) {
        try scores.reserve(rows: layer.shape.heads, units: frame.units)
        try forEachHead(work) { columns in
            columns.divide(by: layer.shape.group)
            columns.store(frame, pooled: pool, kernel: kernel, into: scores)
        }
    }
}

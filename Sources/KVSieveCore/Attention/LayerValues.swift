// Tables made of a layer's values (H, n, Dv): their norms, and sums of them weighted by another table.

extension Layer {
    /// (H, n): squared norms of the value rows, mean-pooled over the true neighbours of each (zeros beyond both ends, divided
    /// by the kernel). The values are read once.
    public func squaredValueNorms(pooled kernel: Int) throws(KVSieveError) -> HeadTable {
        guard let values = view.values else { throw missing("values") }
        let table = try table(work.valueNorms)
        for worker in work.workers { try worker.oneRow.reserve(values.dim) }
        try work.forEach(shape.heads, SquaredNorms(of: values, into: table, view))
        let pooled = try table.pooled(.mean, kernel: kernel)
        for head in 0..<shape.heads {
            let numbers = pooled.row(head)
            // Of equals and of larger ones none is infinite when the largest is not.
            var highest: Float = 0
            for row in frame.of(head).candidates { highest = max(highest, numbers[row]) }
            guard highest.isFinite else {
                throw KVSieveError(
                    .nonfinite,
                    "values of layer \(index), kv head \(head) are so large that squared norms overflow in their sum")
            }
        }
        return pooled
    }

    /// (H, Dv): of each head the sum of the values in the `best` columns of its row of weights, times their weights; all
    /// columns of a shorter row. Only these values are read.
    public func values(weightedBy weights: HeadTable, best: Int) throws(KVSieveError) -> HeadTable {
        guard let values = view.values else { throw missing("values") }
        try work.vectors.reserve(rows: shape.heads, width: values.dim)
        let vectors = HeadTable(work.vectors, work, .elements(values.dim), rows: shape.heads)
        let row = try work.caller.oneRow.reserve(values.dim)
        let scratch = try work.caller.histogram.reserve(BestUnits.scratch)
        let chosen = try work.caller.bestColumns.reserve(min(best, weights.longest))
        for head in 0..<shape.heads {
            let weights = weights.row(head)
            let count = min(best, weights.count)
            guard let vector = vectors.start(head) else { continue }
            let values = view.rows(values, of: head)
            vector.update(repeating: 0, count: values.dim)
            BestUnits.select(UnsafeBufferPointer(weights), count: count, scratch: scratch, out: chosen)
            for index in 0..<count {
                let token = Int(chosen[index])
                values.type.widen(values.row(head, token), row, values.dim)
                kernels.add_scaled(row, weights[token], Int64(values.dim), vector)
            }
            for d in 0..<values.dim where !vector[d].isFinite {
                throw KVSieveError(
                    .nonfinite,
                    "values of layer \(index), kv head \(head) have NaN or infinity in a row that is read")
            }
        }
        return vectors
    }
}

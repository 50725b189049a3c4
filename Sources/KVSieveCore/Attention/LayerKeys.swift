// Tables made of a layer's keys (H, n, D) alone: for engines that cannot pass queries.

extension Layer {
    /// (H, n): the norm of each key.
    public func keyNorms() throws(KVSieveError) -> HeadTable {
        guard let keys = view.keys else { throw missing("keys") }
        let table = try table(work.keyMeasures)
        for worker in work.workers { try worker.oneRow.reserve(keys.dim) }
        try work.forEach(shape.heads, SquaredNorms(of: keys, into: table, view))
        for head in 0..<shape.heads {
            let numbers = table.row(head)
            guard let start = numbers.baseAddress else { continue }
            for row in 0..<numbers.count { start[row] = start[row].squareRoot() }
        }
        return table
    }

    /// (H, n): the cosine of each key with the mean direction a = mean over the head's n keys of k / |k|. A zero key adds
    /// nothing to the mean and has cosine 0; where a is 0 all cosines are 0.
    public func keyCosinesToMean() throws(KVSieveError) -> HeadTable {
        guard let keys = view.keys else { throw missing("keys") }
        let table = try keyNorms()
        let row = try work.caller.oneRow.reserve(2 * keys.dim)
        let mean = row + keys.dim
        let sum = try work.meanKey.reserve(keys.dim)
        for head in 0..<shape.heads {
            let numbers = table.row(head)
            guard let norms = numbers.baseAddress else { continue }
            let keys = view.rows(keys, of: head)
            sum.update(repeating: 0, count: keys.dim)
            for token in 0..<numbers.count where norms[token] > 0 {
                keys.type.widen(keys.row(head, token), row, keys.dim)
                let inverse = 1 / Double(norms[token])
                for d in 0..<keys.dim { sum[d] += Double(row[d]) * inverse }
            }
            var square = 0.0
            for d in 0..<keys.dim { square += sum[d] * sum[d] }
            let length = square.squareRoot()
            for d in 0..<keys.dim { mean[d] = length > 0 ? Float(sum[d] / length) : 0 }
            for token in 0..<numbers.count {
                let norm = norms[token]
                keys.type.widen(keys.row(head, token), row, keys.dim)
                kernels.row_dots(row, 1, mean, Int64(keys.dim), 1, Int64(keys.dim), norms + token, 1)
                norms[token] = norm > 0 ? norms[token] / norm : 0
            }
        }
        return table
    }
}

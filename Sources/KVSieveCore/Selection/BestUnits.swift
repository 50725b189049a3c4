// The best n of a row: ties to the lower index, indices out in ascending order.

enum BestUnits {
    /// Writes the indices of the best `count` of `row` to `out`, ascending.
    /// - Parameters:
    ///   - count: 0 ... row.count.
    ///   - histogram: RankThreshold.histogramSize counts of scratch.
    static func select(
        _ row: UnsafeBufferPointer<Float>, count: Int, histogram: UnsafeMutablePointer<Int>,
        out: UnsafeMutablePointer<Int32>
    ) {
        guard count > 0, let start = row.baseAddress else { return }
        if count >= row.count {
            for j in 0..<row.count { out[j] = Int32(truncatingIfNeeded: j) }
            return
        }
        let threshold = RankThreshold(row, places: count, histogram: histogram)
        var equals = count &- threshold.above
        var written = 0
        for j in 0..<row.count {
            let key = RankKey.of(start[j])
            if key < threshold.key { continue }
            if key == threshold.key {
                if equals == 0 { continue }
                equals &-= 1
            }
            out[written] = Int32(truncatingIfNeeded: j)
            written &+= 1
        }
    }
}

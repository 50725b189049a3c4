// The best n of a row: ties to the lower index, indices out in ascending order.
//
// Of a long row few are wanted: a sample says above which bound they lie, one reading of the row collects what is above it,
// and only that is ranked. If the sample misled (too few or too many are above), the whole row is ranked.

enum BestUnits {
    /// Counts of scratch that select() needs: a histogram, or that of few floats and behind it the floats with their indices,
    /// a count's room each.
    static let scratch = max(RankThreshold.histogramSize, RankThreshold.histogramOfFew + RankThreshold.many)
    /// So few that they are ranked as few.
    private static let mostCollected = RankThreshold.many - 1
    private static let samples = 1024
    private static let long = 8 * samples

    /// Writes the indices of the best `count` of `row` to `out`, ascending.
    /// - Parameters:
    ///   - count: 0 ... row.count.
    ///   - scratch: as many counts.
    static func select(
        _ row: UnsafeBufferPointer<Float>, count: Int, scratch: UnsafeMutablePointer<Int>,
        out: UnsafeMutablePointer<Int32>
    ) {
        guard count > 0, let start = row.baseAddress else { return }
        if count >= row.count {
            for j in 0..<row.count { out[j] = Int32(truncatingIfNeeded: j) }
            return
        }
        let values = UnsafeMutableRawPointer(scratch + RankThreshold.histogramOfFew).assumingMemoryBound(to: Float.self)
        let indices = UnsafeMutableRawPointer(values + RankThreshold.many).assumingMemoryBound(to: Int32.self)
        if row.count >= long, let bound = bound(start, row.count, count, scratch, values) {
            let collected = Int(
                kernels.collect_numbers(start, Int64(row.count), bound, Int64(mostCollected), values, indices))
            if collected >= count {
                let threshold = RankThreshold(
                    UnsafeBufferPointer(start: values, count: collected), places: count, from: bound, histogram: scratch
                )
                write(values, collected, threshold, count) { out[$0] = indices[$1] }
                return
            }
        }
        let threshold = RankThreshold(row, places: count, histogram: scratch)
        write(start, row.count, threshold, count) { out[$0] = Int32(truncatingIfNeeded: $1) }
    }

    /// Calls `put` with 0, 1, 2, ... and the index of each of the `places` best.
    @inline(__always) private static func write(
        _ values: UnsafePointer<Float>, _ count: Int, _ threshold: RankThreshold, _ places: Int,
        put: (_ place: Int, _ index: Int) -> Void
    ) {
        var equals = places &- threshold.above
        var written = 0
        // Every number is written, and the next over it unless it is one of the best: a branch would be foretold wrongly.
        for j in 0..<count where written < places {
            let key = RankKey.of(values[j])
            put(written, j)
            let equal = (key == threshold.key ? 1 : 0) & (equals > 0 ? 1 : 0)
            written &+= (key > threshold.key ? 1 : 0) | equal
            equals &-= equal
        }
    }

    /// A number that most likely `places` of all are not below, and not many more; nil if too many are wanted.
    private static func bound(
        _ row: UnsafePointer<Float>, _ count: Int, _ places: Int, _ histogram: UnsafeMutablePointer<Int>,
        _ sample: UnsafeMutablePointer<Float>
    ) -> Float? {
        let expected = Double(places) * Double(samples) / Double(count)
        // Four standard deviations more.
        let sampled = Int(expected + 4 * expected.squareRoot()) + 4
        guard sampled * count < samples * (mostCollected * 3 / 4) else { return nil }
        let step = count / samples
        for index in 0..<samples { sample[index] = row[index &* step] }
        let threshold = RankThreshold(
            UnsafeBufferPointer(start: sample, count: samples), places: min(sampled, samples), histogram: histogram,
            bits: 16)
        return RankKey.value(threshold.key)
    }
}

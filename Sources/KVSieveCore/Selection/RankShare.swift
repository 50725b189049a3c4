// Layers compete in one ranking: how many places does each win. Ties go to the lower (layer, head, position).
//
// DynamicKV asks this again and again while layers are added, so what a layer contributes is counted once: the histogram of
// its scores by the upper 14 bits of their keys (scores in a bucket differ by 3 % at most). Added up they say in which bucket the last place lies, and how many places
// each layer wins above it; only the scores in that bucket are looked at one by one.

public enum RankShare {
    static let bits: UInt32 = 14
    static let buckets = 1 << 14

    @inline(__always) static func bucket(_ score: Float) -> Int { Int(RankKey.of(score) &>> (32 &- bits)) }

    /// Scores of one bucket that are copied out to be ranked; with more, all scores are read four times instead.
    static let mostCollected = AttentionTiles.mostFloats

    /// What counts() needs beside each layer's own counts, and those of `scores`.
    static func prepare(_ scores: LayerScores, _ work: Workspace) throws(KVSieveError) {
        _ = try scores.histogram()
        try work.caller.histogram.reserve(max(buckets, RankThreshold.histogramSize))
    }

    /// Winners in each layer when the best `places` of all entries of `layers` are taken; places above the number of
    /// entries take all.
    public static func counts(
        _ layers: [LayerScores], places: Int, _ work: Workspace
    ) throws(KVSieveError) -> [Int] {
        guard places > 0 else { return layers.map { _ in 0 } }
        guard places < layers.reduce(0, { $0 + $1.rows * $1.units }) else { return layers.map { $0.rows * $0.units } }
        let histogram = try work.caller.histogram.reserve(max(buckets, RankThreshold.histogramSize))
        histogram.update(repeating: 0, count: buckets)
        for scores in layers {
            let counts = try scores.histogram()
            for bucket in 0..<buckets { histogram[bucket] &+= counts[bucket] }
        }
        var bucket = buckets - 1
        var above = 0
        while bucket > 0 && above + histogram[bucket] < places {
            above += histogram[bucket]
            bucket -= 1
        }
        let inside = histogram[bucket]
        if inside > mostCollected { return try countAll(layers, places, histogram) }
        var won: [Int] = []
        for scores in layers {
            let counts = try scores.histogram()
            var better = 0
            for higher in (bucket + 1)..<max(buckets, bucket + 1) { better &+= counts[higher] }
            won.append(better)
        }
        // The bucket's scores, in order of (layer, head, position). One more float: the last copy may be of none.
        let collected = try work.head.logits.reserve(inside + 1)
        var ends: [Int] = []
        var count = 0
        for scores in layers {
            for row in 0..<scores.rows { collect(scores.row(row), bucket, collected, &count) }
            ends.append(count)
        }
        let threshold = RankThreshold(
            UnsafeBufferPointer(start: collected, count: count), places: places - above, histogram: histogram)
        var equals = places - above - threshold.above
        var begin = 0
        for (layer, end) in ends.enumerated() {
            let segment = UnsafeBufferPointer(start: collected + begin, count: end - begin)
            let (better, same) = compare(segment, threshold.key)
            won[layer] += better + min(same, equals)
            equals -= min(same, equals)
            begin = end
        }
        return won
    }

    /// Appends the scores of `row` whose key lies in `bucket`. Written without a branch: where scores are near each other
    /// it would be foretold wrongly as often as not.
    private static func collect(
        _ row: UnsafeMutableBufferPointer<Float>, _ bucket: Int, _ out: UnsafeMutablePointer<Float>, _ count: inout Int
    ) {
        guard let start = row.baseAddress else { return }
        var written = count
        for j in 0..<row.count {
            let value = start[j]
            out[written] = value
            // 1 where the two are equal: only 0 - 1 is negative.
            written &+= Int(truncatingIfNeeded: UInt(bitPattern: (Self.bucket(value) ^ bucket) &- 1) &>> 63)
        }
        count = written
    }

    private static func countAll(
        _ layers: [LayerScores], _ places: Int, _ histogram: UnsafeMutablePointer<Int>
    ) throws(KVSieveError) -> [Int] {
        let rows = layers.map { scores in (0..<scores.rows).map { UnsafeBufferPointer(scores.row($0)) } }
        let all = rows.flatMap { $0 }
        let threshold = all.withUnsafeBufferPointer { RankThreshold($0, places: places, histogram: histogram) }
        var equals = places - threshold.above
        return rows.map { rows in
            rows.reduce(0) { won, row in
                let (better, same) = compare(row, threshold.key)
                let ties = min(same, equals)
                equals -= ties
                return won + better + ties
            }
        }
    }

    private static func compare(_ row: UnsafeBufferPointer<Float>, _ key: UInt32) -> (better: Int, same: Int) {
        var better = 0
        var same = 0
        for value in row {
            let other = RankKey.of(value)
            better &+= other > key ? 1 : 0
            same &+= other == key ? 1 : 0
        }
        return (better, same)
    }
}

// Layers compete in one ranking: how many places does each win. Ties go to the lower (layer, head, position).
//
// DynamicKV asks this again and again while layers are added, so what a layer contributes is counted once: the histogram of
// its scores by the upper 14 bits of their keys (scores in a bucket differ by 3 % at most). Added up they say in which bucket
// the last place lies, and how many places each layer wins above it; only the scores in that bucket are looked at one by one.

enum LayerQuota {
    static let bits: UInt32 = 14
    static let buckets = 1 << 14

    private static func ownHistogram(_ scores: LayerScores) throws(KVSieveError) -> UnsafeMutablePointer<Int> {
        try scores.histogram(buckets) { bucket($0) }
    }

    @inline(__always) static func bucket(_ score: Float) -> Int { Int(RankKey.of(score) &>> (32 &- bits)) }

    /// Scores of one bucket that are copied out to be ranked, of so many entries in all; with more, all scores are read four
    /// times instead. The logits' memory, of which threads have one part each.
    static func mostCollected(of entries: Int, _ work: Workspace) -> Int {
        min(entries / 4, Workspace.mostFloats / work.threads - 1)
    }

    /// Memory that counts() needs beside each layer's own counts, and those of `scores`, for `layers` layers like it.
    static func prepare(_ scores: LayerScores, layers: Int, _ work: Workspace) throws(KVSieveError) {
        _ = try ownHistogram(scores)
        try work.caller.histogram.reserve(max(buckets, RankThreshold.histogramSize))
        try work.places.reserve(2 * layers)
        try work.head.logits.renew(mostCollected(of: layers * scores.entries, work) + 1)
    }

    /// Winners in each layer when the best `places` of all entries of `layers` that compete are taken; places above their
    /// number take all. The numbers are the workspace's until the next call.
    /// - Parameter each: how many entries each number stands for.
    static func counts(
        _ layers: [LayerScores?], places: Int, each: Int = 1, _ work: Workspace
    ) throws(KVSieveError) -> ReadOnlyBuffer<Int> {
        let won = try work.places.reserve(2 * layers.count)
        try count(layers, places: places / each, work, into: won)
        for layer in layers.indices { won[layer] *= each }
        return ReadOnlyBuffer(UnsafePointer(won), layers.count)
    }

    /// - Parameter won: two counts a layer, of which the second ones are scratch.
    private static func count(
        _ layers: [LayerScores?], places: Int, _ work: Workspace, into won: UnsafeMutablePointer<Int>
    ) throws(KVSieveError) {
        let ends = won + layers.count
        let entries = layers.reduce(0) { $0 + ($1?.entries ?? 0) }
        guard places > 0, places < layers.reduce(0, { $0 + ($1?.competing ?? 0) }) else {
            for (layer, scores) in layers.enumerated() { won[layer] = places > 0 ? scores?.competing ?? 0 : 0 }
            return
        }
        let histogram = try work.caller.histogram.reserve(max(buckets, RankThreshold.histogramSize))
        let (bucket, above, inside) = try lastBucket(layers, places, histogram)
        if inside > mostCollected(of: entries, work) {
            countAll(layers, places, of: entries, histogram, into: won)
            return
        }
        // The bucket's scores, in order of (layer, head, position). One more float: the last copy may be of none.
        let collected = try work.head.logits.renew(inside + 1)
        var count = 0
        for (layer, scores) in layers.enumerated() {
            won[layer] = 0
            if let scores {
                scores.forEachRow { collect($0, bucket, collected, &count, above: &won[layer]) }
            }
            ends[layer] = count
        }
        let threshold = RankThreshold(
            UnsafeBufferPointer(start: collected, count: count), places: places - above, histogram: histogram)
        var equals = places - above - threshold.above
        var begin = 0
        for layer in layers.indices {
            let segment = UnsafeBufferPointer(start: collected + begin, count: ends[layer] - begin)
            won[layer] += winners(segment, threshold.key, &equals)
            begin = ends[layer]
        }
    }

    /// The bucket that the last of the places falls into, how many entries are in those above, and how many in it.
    private static func lastBucket(
        _ layers: [LayerScores?], _ places: Int, _ histogram: UnsafeMutablePointer<Int>
    ) throws(KVSieveError) -> (bucket: Int, above: Int, inside: Int) {
        histogram.update(repeating: 0, count: buckets)
        for scores in layers {
            guard let scores else { continue }
            let counts = try ownHistogram(scores)
            for bucket in 0..<buckets { histogram[bucket] &+= counts[bucket] }
        }
        var bucket = buckets - 1
        var above = 0
        while bucket > 0 && above + histogram[bucket] < places {
            above += histogram[bucket]
            bucket -= 1
        }
        return (bucket, above, histogram[bucket])
    }

    /// Appends the scores of `row` whose key lies in `bucket`, and counts those above it. Written without a branch: where scores
    /// are near each other it would be foretold wrongly as often as not.
    static func collect(
        _ row: UnsafeBufferPointer<Float>, _ bucket: Int, _ out: UnsafeMutablePointer<Float>, _ count: inout Int,
        above: inout Int
    ) {
        guard let start = row.baseAddress else { return }
        var (written, higher) = (count, 0)
        for j in 0..<row.count {
            let value = start[j]
            let own = Self.bucket(value)
            out[written] = value
            // 1 where the two are equal: only 0 - 1 is negative. 1 where `own` is greater.
            written &+= Int(truncatingIfNeeded: UInt(bitPattern: (own ^ bucket) &- 1) &>> 63)
            higher &+= Int(truncatingIfNeeded: UInt(bitPattern: bucket &- own) &>> 63)
        }
        count = written
        above &+= higher
    }

    private static func countAll(
        _ layers: [LayerScores?], _ places: Int, of entries: Int, _ histogram: UnsafeMutablePointer<Int>,
        into won: UnsafeMutablePointer<Int>
    ) {
        let threshold = RankThreshold(places: places, of: entries, histogram: histogram) { body in
            for scores in layers { scores?.forEachRow(body) }
        }
        var equals = places - threshold.above
        for (layer, scores) in layers.enumerated() {
            won[layer] = 0
            scores?.forEachRow { won[layer] += winners($0, threshold.key, &equals) }
        }
    }

    /// How many of a row are better than the key, or equal it: of these no more than are left.
    static func winners(_ row: UnsafeBufferPointer<Float>, _ key: UInt32, _ equals: inout Int) -> Int {
        let found = compare(row, key)
        let same = min(found.same, equals)
        equals -= same
        return found.better + same
    }

    /// How many of a row are better than the key, and how many equal it.
    static func compare(_ row: UnsafeBufferPointer<Float>, _ key: UInt32) -> (better: Int, same: Int) {
        guard let start = row.baseAddress else { return (0, 0) }
        var (better, same) = (0, 0)
        for j in 0..<row.count {
            let other = RankKey.of(start[j])
            better &+= other > key ? 1 : 0
            same &+= other == key ? 1 : 0
        }
        return (better, same)
    }
}

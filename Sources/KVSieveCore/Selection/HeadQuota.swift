// The heads of one layer compete in one ranking: how many places does each win. Ties go to the lower (head, position).

enum HeadQuota {
    /// Winners in each row when the best `places` of all numbers of `scores` that compete are taken; places above their number take
    /// all.
    /// The numbers are the workspace's until the next call.
    static func counts(
        _ scores: LayerScores, places: Int, _ work: Workspace
    ) throws(KVSieveError) -> ReadOnlyBuffer<Int> {
        let won = try work.places.reserve(scores.rows)
        let counts = ReadOnlyBuffer(UnsafePointer(won), scores.rows)
        guard places > 0, places < scores.competing else {
            for row in 0..<scores.rows { won[row] = places > 0 ? scores.competing(row) : 0 }
            return counts
        }
        let histogram = try work.caller.histogram.reserve(RankThreshold.histogramSize)
        let threshold = RankThreshold(places: places, of: scores.entries, histogram: histogram) { body in
            scores.forEachRow(body)
        }
        var equals = places - threshold.above
        for row in 0..<scores.rows {
            won[row] = LayerQuota.winners(UnsafeBufferPointer(scores.row(row)), threshold.key, &equals)
        }
        return counts
    }
}

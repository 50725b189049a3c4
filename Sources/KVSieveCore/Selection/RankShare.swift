// Layers compete in one ranking: how many places does each win. Ties go to the lower (layer, head, position).

public enum RankShare {
    /// Winners in each layer when the best `places` of all entries of `layers` are taken; places above the number of
    /// entries take all.
    public static func counts(
        _ layers: [LayerScores], places: Int, _ work: Workspace
    ) throws(KVSieveError) -> [Int] {
        var won = layers.map { _ in 0 }
        guard places > 0 else { return won }
        let rows = layers.map { scores in (0..<scores.rows).map { UnsafeBufferPointer(scores.row($0)) } }
        let all = rows.flatMap { $0 }
        let entries = all.reduce(0) { $0 + $1.count }
        guard places < entries else { return layers.map { $0.rows * $0.units } }
        let histogram = try work.caller.histogram.reserve(RankThreshold.histogramSize)
        let threshold = all.withUnsafeBufferPointer { RankThreshold($0, places: places, histogram: histogram) }
        var equals = places - threshold.above
        for (layer, rows) in rows.enumerated() {
            for row in rows {
                let (better, same) = count(row, threshold.key)
                won[layer] += better + min(same, equals)
                equals -= min(same, equals)
            }
        }
        return won
    }

    private static func count(_ row: UnsafeBufferPointer<Float>, _ key: UInt32) -> (better: Int, same: Int) {
        var better = 0
        var same = 0
        for value in row {
            let other = RankKey.of(value)
            if other > key { better &+= 1 }
            if other == key { same &+= 1 }
        }
        return (better, same)
    }
}

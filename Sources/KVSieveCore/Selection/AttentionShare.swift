// A share of the attention that a head's rows were paid: of some rows, or of the fewest of its best units that hold so much.
//
//     share of rows R   sum over R of s[j] / sum over all rows of s[j], s the column sums of one head; 1 if all are 0
//
// Sums are made in double, in the order of the rows: all rows have the share 1 exactly, and more rows never have less.

enum AttentionShare {
    /// - Parameters:
    ///   - first: the row of the layer's tensors that is the head's first.
    ///   - sums: of each row of the head's cache.
    static func of(
        _ rows: UnsafeBufferPointer<Int32>, from first: Int, in sums: UnsafeBufferPointer<Float>
    ) -> Double {
        let all = total(of: sums, 0..<sums.count)
        guard all > 0, let start = sums.baseAddress else { return 1 }
        var part = 0.0
        for row in rows { part += Double(start[Int(row) - first]) }
        return part / all
    }

    static func total(of sums: UnsafeBufferPointer<Float>, _ rows: Range<Int>) -> Double {
        guard let start = sums.baseAddress else { return 0 }
        var sum = 0.0
        for row in rows { sum += Double(start[row]) }
        return sum
    }
}

/// How many of its best units a head needs, so that what it keeps has at least the share `least` of its attention; no more than
/// it may keep. Heads that share a ranking share the number: the mean of their shares is at least that. A ranking at a time.
struct AttentionNeed: ParallelWork, @unchecked Sendable {
    let frame: Frame
    let scores: LayerScores
    /// (H, n)
    let sums: TableMemory
    let least: Double
    let heads: Int
    /// Of each head: in, how many it may keep; out, how many it needs.
    let units: UnsafeMutablePointer<Int>

    /// Room for the work on any ranking.
    func reserve(_ work: Workspace) throws(KVSieveError) {
        for worker in work.workers {
            try worker.histogram.reserve(BestUnits.scratch)
            try worker.bestColumns.reserve(frame.units)
            try worker.bestScores.reserve(frame.units)
            try worker.bestShares.reserve(frame.units)
        }
    }

    func work(on ranking: Int, with worker: WorkerBuffers) throws(KVSieveError) {
        let all = scores.rows == 1 ? 0..<heads : ranking..<(ranking + 1)
        let frame = frame.of(all.lowerBound)
        let fewest = frame.certain > 0 ? 0 : 1
        let most = min(max(units[all.lowerBound], fewest), frame.competing)
        let best = Best(
            count: most, scores: try worker.bestScores.reserve(most), shares: try worker.bestShares.reserve(most),
            histogram: try worker.histogram.reserve(BestUnits.scratch))
        let columns = try worker.bestColumns.reserve(most)
        let row = UnsafeBufferPointer(rebasing: scores.row(ofHead: all.lowerBound).prefix(frame.units))
        BestUnits.select(row, count: most, scratch: best.histogram, out: columns)
        for index in 0..<most {
            best.scores[index] = row[Int(columns[index])]
            best.shares[index] = 0
        }
        var held = 0.0
        for head in all { held += add(head, frame, columns, to: best) / Double(all.count) }
        for index in 0..<most { best.shares[index] /= Double(all.count) }
        var (low, high) = (fewest, most)
        while low < high {
            let middle = (low + high) / 2
            // As floats, which a report has: sums in another order end just below a share that is reached.
            if Float(best.share(of: middle, beside: held)) >= Float(least) { high = middle } else { low = middle + 1 }
        }
        for head in all { units[head] = low }
    }

    /// Adds the share of each of the best units of a head; returns that of the rows which it keeps for certain.
    private func add(_ head: Int, _ frame: Frame, _ columns: UnsafePointer<Int32>, to best: Best) -> Double {
        let own = UnsafeBufferPointer(start: sums.row(head), count: frame.rows)
        let all = AttentionShare.total(of: own, 0..<frame.rows)
        guard all > 0 else { return 1 }
        for index in 0..<best.count {
            let rows = frame.positions(ofUnit: Int(columns[index]))
            best.shares[index] += AttentionShare.total(of: own, rows) / all
        }
        var certain = AttentionShare.total(of: own, 0..<frame.sinks)
        frame.forEachProtected { units in
            for unit in units { certain += AttentionShare.total(of: own, frame.positions(ofUnit: unit)) }
        }
        return (certain + AttentionShare.total(of: own, (frame.rows - frame.recent)..<frame.rows)) / all
    }
}

/// The best units of a ranking in the order of their positions: their scores, and their shares of the attention.
private struct Best {
    let count: Int
    let scores: UnsafeMutablePointer<Float>
    let shares: UnsafeMutablePointer<Double>
    let histogram: UnsafeMutablePointer<Int>

    /// `held` and the shares of the best `places`; of equals the first.
    func share(of places: Int, beside held: Double) -> Double {
        guard places > 0 else { return held }
        let threshold = RankThreshold(
            UnsafeBufferPointer(start: scores, count: count), places: places, histogram: histogram)
        var equals = places - threshold.above
        var sum = held
        for index in 0..<count {
            let key = RankKey.of(scores[index])
            if key < threshold.key { continue }
            if key == threshold.key {
                if equals == 0 { continue }
                equals -= 1
            }
            sum += shares[index]
        }
        return sum
    }
}

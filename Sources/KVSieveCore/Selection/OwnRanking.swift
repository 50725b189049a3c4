// What a rank has of one ranking of all ranks' numbers: how many fall in each bucket of LayerQuota's, and the numbers of the
// bucket that the last place falls into, copied out, so that all of them are read twice however many digits are asked for.

struct OwnRanking {
    /// Groups of rows whose places are counted apart: layers of a model, or the heads of one layer's scores.
    enum Groups {
        case layers(JoinedLayers, Range<Int>)
        case heads(LayerScores?)

        var range: Range<Int> {
            switch self {
            case .layers(_, let layers): return layers
            case .heads(let scores): return 0..<(scores?.rows ?? 0)
            }
        }

        func forEachRow(_ group: Int, _ body: (UnsafeBufferPointer<Float>) -> Void) {
            switch self {
            case .layers(let joined, _): joined.counted(group)?.forEachRow(body)
            case .heads(let scores): if let scores { body(UnsafeBufferPointer(scores.row(group))) }
            }
        }
    }

    let groups: Groups
    /// Counts of all numbers, by the upper bits of their keys.
    let histogram: UnsafeMutablePointer<Int>
    /// Room for `most` numbers of the last place's bucket, and one that may be written for nothing.
    let collected: UnsafeMutablePointer<Float>
    let most: Int
    /// By group: how many are in higher buckets, and where those that were copied out end.
    let above: UnsafeMutablePointer<Int>
    let ends: UnsafeMutablePointer<Int>
    private var isCollected = false

    /// - Parameter counts: two a group.
    init(
        _ groups: Groups, histogram: UnsafeMutablePointer<Int>, collected: UnsafeMutablePointer<Float>, most: Int,
        counts: UnsafeMutablePointer<Int>
    ) {
        (self.groups, self.histogram, self.collected, self.most) = (groups, histogram, collected, most)
        (above, ends) = (counts, counts + groups.range.count)
    }

    /// Adds the numbers whose higher bits are `prefix` to the counters of a digit. Digits come in their order.
    mutating func count(_ digit: JoinedThreshold.Digit, _ prefix: UInt32, _ counters: UnsafeMutablePointer<Int>) {
        let low = 32 - LayerQuota.bits
        if digit.shift >= low {
            let (shift, mask) = (Int(digit.shift - low), digit.buckets - 1)
            let first = Int(prefix) << (shift + Int(digit.bits))
            for bucket in first..<(first + digit.buckets << shift) {
                counters[bucket >> shift & mask] &+= histogram[bucket]
            }
            return
        }
        if digit.shift + digit.bits == low { collect(Int(prefix)) }
        guard isCollected else {
            for group in groups.range {
                groups.forEachRow(group) { JoinedThreshold.count($0, digit, prefix, counters) }
            }
            return
        }
        JoinedThreshold.count(segment(all: true), digit, prefix, counters)
    }

    /// How many of a group are better than the key, and how many equal it.
    func compare(_ group: Int, _ key: UInt32) -> (better: Int, same: Int) {
        if isCollected {
            let found = LayerQuota.compare(segment(group), key)
            return (found.better + above[group - groups.range.lowerBound], found.same)
        }
        var (better, same) = (0, 0)
        groups.forEachRow(group) {
            let found = LayerQuota.compare($0, key)
            (better, same) = (better + found.better, same + found.same)
        }
        return (better, same)
    }

    /// The numbers of one bucket are copied out, in their order, if there is room for them.
    private mutating func collect(_ bucket: Int) {
        guard histogram[bucket] <= most else { return }
        var count = 0
        for group in groups.range {
            var higher = 0
            groups.forEachRow(group) { LayerQuota.collect($0, bucket, collected, &count, above: &higher) }
            let index = group - groups.range.lowerBound
            (above[index], ends[index]) = (higher, count)
        }
        isCollected = true
    }

    private func segment(_ group: Int = 0, all: Bool = false) -> UnsafeBufferPointer<Float> {
        let count = groups.range.count
        let index = all ? count - 1 : group - groups.range.lowerBound
        guard (0..<count).contains(index) else { return UnsafeBufferPointer(start: nil, count: 0) }
        let begin = all || index == 0 ? 0 : ends[index - 1]
        return UnsafeBufferPointer(start: collected + begin, count: ends[index] - begin)
    }
}

// The best n of a row: ties to the lower index, indices out in ascending order.
//
// Of a long row few are wanted: a sample says above which bound they lie, one reading of the row collects what is above it,
// and only that is ranked. If the sample misled (too few or too many are above), the whole row is ranked.

enum BestUnits {
    /// Counts of scratch that select() needs: a histogram; or floats that were collected and their indices, and indices of a
    /// part of these, 4 bytes each.
    static let scratch = max(RankThreshold.histogramSize, 3 * room / 2)
    /// So many that they are ranked as few.
    private static let few = 4096
    /// And a vector's more, or what NthBest needs.
    private static let room = few + NthBest.scratch
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
        let collected = Collected(scratch, room: room)
        if row.count <= few {
            if collected.best(count, of: start, row.count) {
                for place in 0..<count { out[place] = collected.places[place] }
                return
            }
        } else if row.count >= long, let bound = bound(start, row.count, count, collected) {
            let found = Int(
                kernels.collect_numbers(
                    start, Int64(row.count), bound, .nan, Int64(few), collected.values, collected.indices))
            if found >= count, collected.best(count, of: collected.values, found) {
                for place in 0..<count { out[place] = collected.indices[Int(collected.places[place])] }
                return
            }
        }
        rankAll(start, row.count, count, histogram: scratch, out)
    }

    private static func rankAll(
        _ row: UnsafePointer<Float>, _ count: Int, _ places: Int, histogram: UnsafeMutablePointer<Int>,
        _ out: UnsafeMutablePointer<Int32>
    ) {
        let threshold = RankThreshold(
            UnsafeBufferPointer(start: row, count: count), places: places, histogram: histogram)
        var equals = places &- threshold.above
        var written = 0
        // Every index is written, and the next over it unless it is one of the best: a branch would be foretold wrongly.
        for j in 0..<count where written < places {
            let key = RankKey.of(row[j])
            out[written] = Int32(truncatingIfNeeded: j)
            let equal = (key == threshold.key ? 1 : 0) & (equals > 0 ? 1 : 0)
            written &+= (key > threshold.key ? 1 : 0) | equal
            equals &-= equal
        }
    }

    /// A number that most likely `places` of all are not below, and not many more; nil if too many are wanted.
    private static func bound(
        _ row: UnsafePointer<Float>, _ count: Int, _ places: Int, _ collected: Collected
    ) -> Float? {
        let expected = Double(places) * Double(samples) / Double(count)
        // Four standard deviations more.
        let sampled = Int(expected + 4 * expected.squareRoot()) + 4
        guard sampled * count < samples * (few * 3 / 4) else { return nil }
        let step = count / samples
        for index in 0..<samples { collected.values[index] = row[index &* step] }
        return NthBest.of(
            collected.values, samples, places: min(sampled, samples), values: collected.values + samples,
            indices: collected.indices)
    }
}

/// Floats of a row with their indices, and which of them are the best.
private struct Collected {
    let room: Int
    let values: UnsafeMutablePointer<Float>
    let indices: UnsafeMutablePointer<Int32>
    /// Of the best among the values.
    let places: UnsafeMutablePointer<Int32>

    /// - Parameter scratch: `room` of each.
    init(_ scratch: UnsafeMutablePointer<Int>, room: Int) {
        self.room = room
        values = UnsafeMutableRawPointer(scratch).assumingMemoryBound(to: Float.self)
        indices = UnsafeMutableRawPointer(values + room).assumingMemoryBound(to: Int32.self)
        places = indices + room
    }

    /// Writes to `places` where the best `count` of `found` numbers are; these may be the values. False if they are not ranked.
    func best(_ count: Int, of numbers: UnsafePointer<Float>, _ found: Int) -> Bool {
        let last = NthBest.of(
            numbers, found, places: count, values: values + (room - NthBest.scratch), indices: places)
        var written = Int(
            kernels.collect_numbers(numbers, Int64(found), last, .nan, Int64(room), values, places))
        guard written >= count else { return false }
        if written == count { return true }
        // Of equals the first.
        var equals = count &- Int(above(last, written))
        var kept = 0
        for index in 0..<written {
            let equal = values[index] == last ? 1 : 0
            places[kept] = places[index]
            kept &+= equal == 0 || equals > 0 ? 1 : 0
            equals &-= equal
        }
        written = kept
        return written == count
    }

    private func above(_ number: Float, _ count: Int) -> Int {
        var above = 0
        for index in 0..<count { above &+= values[index] > number ? 1 : 0 }
        return above
    }
}

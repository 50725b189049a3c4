// The best n of a row: ties to the lower index, indices out in ascending order.
//
// Of a long row few are wanted: a sample says above which bound they lie, one reading of the row collects what is above it,
// and only that is ranked. If the sample misled (too few or too many are above), the whole row is ranked, unless the bound, which
// many may equal, is the last of the best itself.

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
            if found < 0 {
                let above = Int(kernels.count_numbers(start, Int64(row.count), RankKey.after(bound)))
                if above < count { return collected.take(count, of: row, last: bound, above: above, out) }
            }
        }
        let threshold = RankThreshold(row, places: count, histogram: scratch)
        collected.take(count, of: row, last: RankKey.value(threshold.key), above: threshold.above, out)
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
        let written = Int(
            kernels.collect_numbers(numbers, Int64(found), last, .nan, Int64(room), values, places))
        guard written >= count else { return false }
        leaveOut(written &- count, of: written, equalTo: last, from: places)
        return true
    }

    /// Writes the indices of the best `count` of a row: of all numbers that are above the last of them, which are known to be
    /// `above`, and of the first that equal it.
    func take(
        _ count: Int, of row: UnsafeBufferPointer<Float>, last: Float, above: Int, _ out: UnsafeMutablePointer<Int32>
    ) {
        guard let start = row.baseAddress else { return }
        var equals = count &- above
        var (written, first) = (0, 0)
        while first < row.count && written < count {
            let piece = min(room &- NthBest.scratch, row.count &- first)
            let bound = equals > 0 ? last : RankKey.after(last)
            var found = Int(
                kernels.collect_numbers(start + first, Int64(piece), bound, .nan, Int64(room), values, indices))
            if equals > 0 {
                let equal = found &- Int(kernels.count_numbers(values, Int64(found), RankKey.after(last)))
                let tooMany = max(0, equal &- equals)
                leaveOut(tooMany, of: found, equalTo: last, from: indices)
                found &-= tooMany
                equals &-= equal &- tooMany
            }
            for index in 0..<min(found, count &- written) {
                out[written &+ index] = indices[index] &+ Int32(truncatingIfNeeded: first)
            }
            written &+= found
            first &+= piece
        }
    }

    /// Of the values that equal a number the last are left out of the list, which is as long.
    private func leaveOut(
        _ equals: Int, of count: Int, equalTo number: Float, from list: UnsafeMutablePointer<Int32>
    ) {
        var (first, left) = (count, equals)
        // Pieces at a time, while all that are equal in one are left out. None is below the number.
        while left > 0 && first >= 64 {
            let above = Int(kernels.count_numbers(values + (first &- 64), 64, RankKey.after(number)))
            guard 64 &- above <= left else { break }
            left &-= 64 &- above
            first &-= 64
        }
        while left > 0 && first > 0 {
            first &-= 1
            left &-= values[first] == number ? 1 : 0
        }
        var kept = first
        for index in first..<count {
            list[kept] = list[index]
            kept &+= values[index] == number ? 0 : 1
        }
    }
}

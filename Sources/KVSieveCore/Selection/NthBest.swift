// The n-th best of few floats, without sorting them: the range of keys that it is in is halved until few floats are in it. A
// step reads all floats once, a vector at a time. If halving parts no floats, many may be equal, and the next step begins from one
// of them.

enum NthBest {
    /// So few floats that they are compared with each other.
    private static let few = 8
    /// Floats of scratch, and as many indices, that of() needs: the few, and a vector's more.
    static let scratch = few + 16

    /// The float that fewer than `places` floats of `row` are above, and `places` or more not below.
    /// - Parameters:
    ///   - places: 1 ... count. No float is NaN.
    static func of(
        _ row: UnsafePointer<Float>, _ count: Int, places: Int, values: UnsafeMutablePointer<Float>,
        indices: UnsafeMutablePointer<Int32>
    ) -> Float {
        // NaN if a number is infinite.
        let (least, most) = (kernels.row_minimum(row, Int64(count)), kernels.row_maximum(row, Int64(count)))
        // The key is low or above, and below high: so many floats are not below each.
        var low = RankKey.of(least.isFinite ? least : -.infinity)
        var high = RankKey.of(most.isFinite ? most : .infinity) &+ 1
        var (notBelowLow, notBelowHigh) = (count, 0)
        /// True if `places` or more are not below: the key is no lower, or it is lower.
        func halve(at middle: UInt32) -> Bool {
            let notBelow = Int(kernels.count_numbers(row, Int64(count), RankKey.value(middle)))
            if notBelow >= places {
                (low, notBelowLow) = (middle, notBelow)
            } else {
                (high, notBelowHigh) = (middle, notBelow)
            }
            return notBelow >= places
        }
        while high &- low > 1 && notBelowLow &- notBelowHigh > few {
            let inside = notBelowLow &- notBelowHigh
            _ = halve(at: low &+ (high &- low) / 2)
            guard inside == notBelowLow &- notBelowHigh, high &- low > 1 else { continue }
            let one = firstKey(row, count, low..<high)
            // Not below itself, it may be below the one after it: then these are all that the range has.
            if one == low || halve(at: one), high &- one > 1 { _ = halve(at: one &+ 1) }
        }
        if high &- low <= 1 { return RankKey.value(low) }
        let inside = Int(
            kernels.collect_numbers(
                row, Int64(count), RankKey.value(low), RankKey.value(high), Int64(scratch), values, indices))
        for index in 0..<max(inside, 0) {
            var (above, notBelow) = (notBelowHigh, notBelowHigh)
            for other in 0..<inside {
                above &+= values[other] > values[index] ? 1 : 0
                notBelow &+= values[other] >= values[index] ? 1 : 0
            }
            if above < places && places <= notBelow { return values[index] }
        }
        return RankKey.value(low)
    }

    /// The key of the first float whose key is in the range; its lower bound if there is none.
    private static func firstKey(_ row: UnsafePointer<Float>, _ count: Int, _ keys: Range<UInt32>) -> UInt32 {
        for index in 0..<count {
            let key = RankKey.of(row[index])
            if keys.contains(key) { return key }
        }
        return keys.lowerBound
    }
}

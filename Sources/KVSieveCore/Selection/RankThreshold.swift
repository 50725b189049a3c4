// Where the n-th best of many floats lies, without sorting them: a radix select on order-preserving keys, from the upper digit
// down. Of equal keys the reader takes the earlier ones.

enum RankKey {
    /// Greater float, greater key; -0 and +0 are equal. NaN does not occur: statistics refuse it.
    @inline(__always) static func of(_ value: Float) -> UInt32 {
        let bits = (value + 0).bitPattern
        return bits & 0x8000_0000 != 0 ? ~bits : bits | 0x8000_0000
    }

    /// The float that has this key.
    @inline(__always) static func value(_ key: UInt32) -> Float {
        Float(bitPattern: key & 0x8000_0000 != 0 ? key & 0x7fff_ffff : ~key)
    }

    /// The float after this one; NaN, which no float is above or equals, after infinity.
    static func after(_ value: Float) -> Float {
        guard value < .infinity else { return .nan }
        let next = Self.value(of(value) &+ 1)
        // If subnormal floats count as 0, as a host may have it, those after 0 equal it.
        return next > value ? next : .leastNormalMagnitude
    }
}

struct RankThreshold {
    /// Key of the n-th best.
    let key: UInt32
    /// How many are strictly better, less than n. Of the n places the others are for keys that equal it.
    let above: Int

    /// Floats that follow one another often fall in one bucket, and a count that was just written is slow to read: four
    /// take turns.
    static let histogramSize = turns * 2048
    private static let turns = 4
    /// Of fewer floats, clearing and adding up 2,048 buckets would take longer than reading the floats once more.
    private static let many = 4096

    /// - Parameters:
    ///   - places: n, 1 ... count.
    ///   - count: how many floats compete.
    ///   - histogram: histogramSize counts of scratch.
    ///   - forEachRow: all that compete, together.
    init(
        places: Int, of count: Int, histogram: UnsafeMutablePointer<Int>,
        forEachRow: (_ body: (UnsafeBufferPointer<Float>) -> Void) -> Void
    ) {
        var prefix: UInt32 = 0
        var above = 0
        /// The bits that are not known yet.
        var shift: UInt32 = 32
        while shift > 0 {
            let bits = min(count < Self.many ? 8 : 11, shift)
            shift &-= bits
            let buckets = 1 &<< Int(bits)
            histogram.update(repeating: 0, count: Self.turns &* buckets)
            forEachRow { row in
                if shift &+ bits == 32 {
                    Self.count(row, into: histogram, shift: shift, buckets: buckets)
                } else {
                    Self.count(row, into: histogram, shift: shift, bits: bits, prefix: prefix)
                }
            }
            Self.addTurns(histogram, buckets)
            var bucket = buckets &- 1
            while bucket > 0 && above &+ histogram[bucket] < places {
                above &+= histogram[bucket]
                bucket &-= 1
            }
            prefix = (prefix &<< bits) | UInt32(truncatingIfNeeded: bucket)
        }
        key = prefix
        self.above = above
    }

    /// Counts the upper bits of every key, from `shift` on.
    private static func count(
        _ row: UnsafeBufferPointer<Float>, into histogram: UnsafeMutablePointer<Int>, shift: UInt32, buckets: Int
    ) {
        guard let start = row.baseAddress else { return }
        for j in 0..<row.count {
            histogram[(j & 3) &* buckets &+ Int(RankKey.of(start[j]) &>> shift)] &+= 1
        }
    }

    /// Counts `bits` bits from `shift` on of the keys whose higher bits are the prefix found so far.
    private static func count(
        _ row: UnsafeBufferPointer<Float>, into histogram: UnsafeMutablePointer<Int>, shift: UInt32, bits: UInt32,
        prefix: UInt32
    ) {
        guard let start = row.baseAddress else { return }
        let mask: UInt32 = (1 &<< bits) &- 1
        let buckets = 1 &<< Int(bits)
        for j in 0..<row.count {
            let key = RankKey.of(start[j])
            if key &>> (shift &+ bits) == prefix {
                histogram[(j & 3) &* buckets &+ Int((key &>> shift) & mask)] &+= 1
            }
        }
    }

    /// The counts of each bucket become one.
    private static func addTurns(_ histogram: UnsafeMutablePointer<Int>, _ buckets: Int) {
        for bucket in 0..<buckets {
            histogram[bucket] &+=
                histogram[buckets &+ bucket] &+ histogram[2 &* buckets &+ bucket]
                &+ histogram[3 &* buckets &+ bucket]
        }
    }

    init(_ row: UnsafeBufferPointer<Float>, places: Int, histogram: UnsafeMutablePointer<Int>) {
        self.init(places: places, of: row.count, histogram: histogram) { body in body(row) }
    }
}

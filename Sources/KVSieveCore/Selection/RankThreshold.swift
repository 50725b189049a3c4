// Where the n-th best of many floats lies, without sorting them: a radix select on order-preserving keys, 11 + 11 + 10 bits,
// three readings of the floats whatever they are (constant rows included). Of equal keys the reader takes the earlier ones.

enum RankKey {
    /// Greater float, greater key; -0 and +0 are equal. NaN does not occur: statistics refuse it.
    @inline(__always) static func of(_ value: Float) -> UInt32 {
        let bits = (value + 0).bitPattern
        return bits & 0x8000_0000 != 0 ? ~bits : bits | 0x8000_0000
    }
}

struct RankThreshold {
    /// Key of the n-th best.
    let key: UInt32
    /// How many are strictly better, less than n. The rest of the n places goes to those that equal it.
    let above: Int

    static let histogramSize = 2048

    /// - Parameters:
    ///   - rows: all that compete, together.
    ///   - places: n, 1 ... the number of floats.
    ///   - histogram: histogramSize counts of scratch.
    init(_ rows: UnsafeBufferPointer<UnsafeBufferPointer<Float>>, places: Int, histogram: UnsafeMutablePointer<Int>) {
        var prefix: UInt32 = 0
        var above = 0
        for (shift, bits) in [(21, 11), (10, 11), (0, 10)] as [(UInt32, UInt32)] {
            let buckets = 1 << Int(bits)
            let mask = UInt32(truncatingIfNeeded: buckets &- 1)
            histogram.update(repeating: 0, count: buckets)
            // Only keys whose higher bits are the prefix found so far.
            let higher = shift &+ bits
            for row in rows {
                guard let start = row.baseAddress else { continue }
                for j in 0..<row.count {
                    let key = RankKey.of(start[j])
                    if higher < 32 && key &>> higher != prefix { continue }
                    histogram[Int((key &>> shift) & mask)] &+= 1
                }
            }
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

    init(_ row: UnsafeBufferPointer<Float>, places: Int, histogram: UnsafeMutablePointer<Int>) {
        var row = row
        self = withUnsafePointer(to: &row) {
            RankThreshold(UnsafeBufferPointer(start: $0, count: 1), places: places, histogram: histogram)
        }
    }
}

// The mean over seven numbers, the usual kernel: a row is read and written once, in place. The loop is in support_lanes.h.
//
//     row[j] = (1/7) (x[0] + x[1] + x[2] + x[3] + x[4] + x[5] + x[6])      x[d] = row[j + d - 3], zero outside; added in order
import CSupport

/// - Parameter scratch: two vectors and seven floats.
@inline(__always)
func poolSeven(
    _ row: UnsafeMutablePointer<Float>, _ count: Int, _ share: Float, _ scratch: UnsafeMutablePointer<Float>
) {
    // Windows that begin before j are done, up to row[j + 2].
    var j = 0
    var known = 0
    if count >= 2 &* laneCount {
        // The first three windows begin before the row.
        let first = sum(0, 0, 0, row[0], row[1], row[2], row[3]) * share
        let second = sum(0, 0, row[0], row[1], row[2], row[3], row[4]) * share
        let third = sum(0, row[0], row[1], row[2], row[3], row[4], row[5]) * share
        j = Int(support_pool_seven(row, Int64(count), share, scratch + 3))
        known = 3
        (row[0], row[1], row[2]) = (first, second, third)
    }
    // What is left of the row as it was, between zeros.
    let left = count &- j
    (scratch[0], scratch[1], scratch[2]) = (0, 0, 0)
    var d = known
    while d < left {
        scratch[3 &+ d] = row[j &+ d]
        d &+= 1
    }
    (scratch[3 &+ left], scratch[4 &+ left], scratch[5 &+ left]) = (0, 0, 0)
    d = known
    while d < left {
        let x = scratch + d
        row[j &+ d] = sum(x[0], x[1], x[2], x[3], x[4], x[5], x[6]) * share
        d &+= 1
    }
}

@inline(__always)
private func sum(_ a: Float, _ b: Float, _ c: Float, _ d: Float, _ e: Float, _ f: Float, _ g: Float) -> Float {
    var sum = a + b
    sum += c
    sum += d
    sum += e
    sum += f
    return sum + g
}

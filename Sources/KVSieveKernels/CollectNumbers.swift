// The numbers of a row that are not below a bound: how many, and which.

import CSupport

/// How many of row[j], j < count, are not below the bound; none if it is NaN.
@inline(__always)
func countNumbers(_ row: UnsafePointer<Float>, _ count: Int, _ bound: Float) -> Int {
    let bounds = Lanes(repeating: bound)
    let (none, one) = (LaneBits(repeating: 0), LaneBits(repeating: 1))
    var counts = none
    var j = 0
    while j &+ laneCount <= count {
        counts &+= none.replacing(with: one, where: load(row + j) .>= bounds)
        j &+= laneCount
    }
    var found = 0
    while j < count {
        found &+= row[j] >= bound ? 1 : 0
        j &+= 1
    }
    return found &+ total(counts)
}

/// Copies those that are not below the bound, and below the end: see csupport.h, which has a faster one where vectors are wide.
///
/// A vector of which all are below is passed over; of another each number is written, and stays if it is not below: that costs
/// less than a branch a number, which would be foretold wrongly.
@inline(__always)
func collectNumbers(
    _ row: UnsafePointer<Float>, _ count: Int, _ bound: Float, _ end: Float, _ room: Int,
    _ values: UnsafeMutablePointer<Float>, _ indices: UnsafeMutablePointer<Int32>
) -> Int {
    let bounds = Lanes(repeating: bound)
    var written = 0
    var j = 0
    while j < count {
        let next = j &+ laneCount
        if next <= count {
            if !isAny(load(row + j) .>= bounds) {
                j = next
                continue
            }
        }
        if written > room &- laneCount { return -1 }
        let last = next < count ? next : count
        while j < last {
            let value = row[j]
            values[written] = value
            indices[written] = Int32(truncatingIfNeeded: j)
            written &+= (value >= bound ? 1 : 0) & (value >= end ? 0 : 1)
            j &+= 1
        }
    }
    return written
}

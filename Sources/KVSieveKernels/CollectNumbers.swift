// The numbers of a row that are not below a bound, with their indices, in order.
//
// A vector of which all are below is passed over; of another each number is written, and stays if it is not below: that costs
// less than a branch a number, which would be foretold wrongly.

import CSupport

/// Returns how many there are; -1 if there may be no room for them.
/// - Parameters:
///   - bound: not NaN.
///   - room: of `values` and of `indices`; a vector's numbers more than there are must fit.
@inline(__always)
func collectNumbers(
    _ row: UnsafePointer<Float>, _ count: Int, _ bound: Float, _ room: Int, _ values: UnsafeMutablePointer<Float>,
    _ indices: UnsafeMutablePointer<Int32>
) -> Int {
    let bounds = Lanes(repeating: bound)
    var written = 0
    var j = 0
    while j < count {
        let end = j &+ laneCount
        if end <= count {
            if !isAny(load(row + j) .>= bounds) {
                j = end
                continue
            }
        }
        if written > room &- laneCount { return -1 }
        let last = end < count ? end : count
        while j < last {
            let value = row[j]
            values[written] = value
            indices[written] = Int32(truncatingIfNeeded: j)
            written &+= value >= bound ? 1 : 0
            j &+= 1
        }
    }
    return written
}

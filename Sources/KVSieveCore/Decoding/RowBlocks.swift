// Sums of the last r score rows over a choice's slots (AhaKV, decision A3; TOVA), by additions alone: a sum that is kept up by adding
// the newest row and subtracting the oldest drifts, and the lowest sums, which decide who leaves, drift most.
//
// Rows come in blocks of r. In the block that runs, i rows are there: their sum is `prefix`. Of the block before, rows
// i+1 ... r-1 are still among the last r once the next row is in: each was replaced by the sum of itself and those after it,
// so one of them is all that is needed.
//
//     sum over the last r rows  =  suffix[i + 1]  +  prefix  +  the newest row
//
// Row i of the running block is stored where suffix[i] stood. While a call may still be undone, the block before is left as
// it came and summed each time (`raw`); settle() makes it sums when the next call begins.
//
// A token that takes over a slot was not there when the rows before it were made: in these its slot counts as 0. `taken` says
// which slot the token of each row took; rows are cleared there when they become sums, until then the slots are added anew.

import CSupport

struct RowBlocks: @unchecked Sendable {
    /// r.
    let rows: Int
    /// Slots of a row.
    let width: Int
    /// The rows, (rows) of (width).
    let ring: UnsafeMutablePointer<UnsafeMutablePointer<Float>>
    /// (width).
    let prefix: UnsafeMutablePointer<Float>
    /// (rows): slot of the token that a row came with; -1 for the prompt's.
    let taken: UnsafeMutablePointer<Int32>

    /// Where the head is in its blocks; the same for all heads of a layer.
    struct Place: Sendable {
        /// Rows of the block that runs, 0 ... r.
        var index = 0
        /// The block before is not sums yet.
        var raw = false
    }

    /// Where the next row is put.
    func placed(_ place: Place) -> Place { place.index == rows ? Place(index: 0, raw: true) : place }

    /// The place after it.
    func following(_ place: Place) -> Place {
        let placed = placed(place)
        return Place(index: placed.index + 1, raw: placed.raw)
    }

    func row(_ index: Int) -> UnsafeMutablePointer<Float> { ring[index] }

    private func add(_ source: UnsafeMutablePointer<Float>, to target: UnsafeMutablePointer<Float>) {
        kernels.add_scaled(source, 1, Int64(width), target)
    }

    func prefetch(_ place: Place) { support_prefetch(ring + (place.index == rows ? 0 : place.index)) }

    /// Nothing before can be undone any more.
    func settle(_ place: Place) -> Place {
        let first = place.index == rows ? 0 : place.index
        if place.index == rows || place.raw {
            for (later, slot) in newcomers(first..<rows) {
                for index in first..<later { row(index)[slot] = 0 }
            }
            var index = rows - 2
            while index >= first {
                add(row(index + 1), to: row(index))
                index -= 1
            }
        }
        if place.index == rows { prefix.update(repeating: 0, count: width) }
        return Place(index: place.index == rows ? 0 : place.index, raw: false)
    }

    /// The newest row joins: totals[s] = sum of the last r rows, it among them, s < living.
    /// - Parameters:
    ///   - spare: where it is written.
    ///   - weights: what the totals will be multiplied with.
    func join(
        _ newest: UnsafePointer<Float>, living: Int, _ place: Place, spare: UnsafeMutablePointer<Float>,
        weights: UnsafePointer<Float>?, into totals: UnsafeMutablePointer<Float>
    ) {
        if place.index == rows { prefix.update(repeating: 0, count: width) }
        let place = placed(place)
        let later = (place.index + 1)..<max(rows, place.index + 1)
        kernels.roll_row(
            newest, later.isEmpty ? nil : row(later.lowerBound), Int64(living), prefix, spare, weights, totals)
        // The rows of the block before, where it is not sums yet, and then the sums, where a token of this block came in.
        if place.raw {
            for index in later.dropFirst() { kernels.add_scaled(row(index), 1, Int64(living), totals) }
            for (first, slot) in newcomers(later) {
                totals[slot] = prefix[slot]
                for index in first..<rows { totals[slot] += row(index)[slot] }
            }
        }
        for (_, slot) in newcomers(0..<place.index) { totals[slot] = prefix[slot] }
    }

    /// Row and slot of the tokens that came with these rows, the earlier first.
    private func newcomers(_ rows: Range<Int>) -> LazyFilterSequence<LazyMapSequence<Range<Int>, (Int, Int)>> {
        let taken = taken
        return rows.lazy.map { ($0, Int(taken[$0])) }.filter { $0.1 >= 0 }
    }

    /// The row that join() wrote stands at `place` now. The token that it came with goes to `slot`, which is the slot after
    /// the others or one that it takes over.
    /// - Parameter own: the token's number in its own row.
    /// - Returns: what `taken` said of the row that was replaced.
    func pushed(own: Float, living: Int, slot: Int, _ place: Place) -> Int32 {
        let target = row(place.index)
        let takenBefore = taken[place.index]
        taken[place.index] = Int32(truncatingIfNeeded: slot)
        if living < width { (target + living).update(repeating: 0, count: width - living) }
        target[slot] = own
        prefix[slot] = own
        return takenBefore
    }

    func restorePrefix(_ place: Place) {
        prefix.update(repeating: 0, count: width)
        for index in 0..<place.index { add(row(index), to: prefix) }
        for (first, slot) in newcomers(0..<place.index) {
            prefix[slot] = 0
            for index in first..<place.index { prefix[slot] += row(index)[slot] }
        }
    }
}

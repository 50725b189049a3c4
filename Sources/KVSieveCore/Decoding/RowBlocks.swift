// Sums of the last r score rows over a choice's slots (AhaKV, decision A3; TOVA), by additions alone. A sum to which
// the newest row is added, and from which the oldest is subtracted, drifts; the lowest sums, which decide the eviction, drift most.
//
// Rows are in blocks of r. The current block has i rows so far; their sum is `prefix`. With the next row, rows i+1 ... r-1 of the
// block before are still among the last r. Each of those was replaced by the sum of itself and the rows after it, so one of
// them is all that is needed.
//
//     sum over the last r rows  =  suffix[i + 1]  +  prefix  +  the newest row
//
// Row i of the current block is stored in the place of suffix[i]. While a call may still be undone, the rows of the block before
// are not replaced but summed each time (`raw`); settle() replaces them by sums when the next call begins.
//
// Rows older than a token count as 0 in the slot that it took over. `taken` has the slot that the token of each row took. When
// rows are replaced by sums, they are cleared there; until then these slots are added up anew.

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
    /// (rows): the slot that a row's token took; -1 for the prompt's rows.
    let taken: UnsafeMutablePointer<Int32>

    /// The place of a head in its blocks; the same for all heads of a layer.
    struct Place: Sendable {
        /// Rows of the current block, 0 ... r.
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

    /// Adds the newest row: totals[s] = sum of the last r rows, s < living, the newest among them.
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
        // The rows of the block before if they are not sums yet, then the sums of the slots that tokens of this block took over.
        if place.raw {
            for index in later.dropFirst() { kernels.add_scaled(row(index), 1, Int64(living), totals) }
            for (first, slot) in newcomers(later) {
                totals[slot] = prefix[slot]
                for index in first..<rows { totals[slot] += row(index)[slot] }
            }
        }
        for (_, slot) in newcomers(0..<place.index) { totals[slot] = prefix[slot] }
    }

    /// Row and slot of the tokens of these rows, the earlier first.
    private func newcomers(_ rows: Range<Int>) -> LazyFilterSequence<LazyMapSequence<Range<Int>, (Int, Int)>> {
        let taken = taken
        return rows.lazy.map { ($0, Int(taken[$0])) }.filter { $0.1 >= 0 }
    }

    /// The row that join() wrote is at `place` now. Its token takes `slot`: the first free one, or one in use.
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

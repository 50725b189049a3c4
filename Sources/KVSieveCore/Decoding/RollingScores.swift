// Sums of the last r score rows over a head's slots (AhaKV, decision A3), by additions alone: a sum that is kept up by adding
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
// A token that takes over a slot was not there when the rows before it were made: its column is cleared.

struct RollingScores: @unchecked Sendable {
    /// r.
    let rows: Int
    /// Slots of a row.
    let width: Int
    /// (rows, width).
    let ring: UnsafeMutablePointer<Float>
    /// (width).
    let prefix: UnsafeMutablePointer<Float>

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

    static func floats(rows: Int, width: Int) -> Int { (rows + 1) * width }
    /// A row and a column.
    static func journalFloats(rows: Int, width: Int) -> Int { width + rows }

    init(rows: Int, width: Int, _ memory: UnsafeMutablePointer<Float>) {
        self.rows = rows
        self.width = width
        ring = memory
        prefix = memory + rows * width
    }

    func clear() { ring.update(repeating: 0, count: Self.floats(rows: rows, width: width)) }

    private func row(_ index: Int) -> UnsafeMutablePointer<Float> { ring + index &* width }

    private func add(_ source: UnsafeMutablePointer<Float>, to target: UnsafeMutablePointer<Float>) {
        kernels.add_scaled(source, 1, Int64(width), target)
    }

    /// Nothing before can be undone any more.
    func settle(_ place: Place) -> Place {
        let first = place.index == rows ? 0 : place.index
        if place.index == rows || place.raw {
            var index = rows - 2
            while index >= first {
                add(row(index + 1), to: row(index))
                index -= 1
            }
        }
        if place.index == rows { prefix.update(repeating: 0, count: width) }
        return Place(index: place.index == rows ? 0 : place.index, raw: false)
    }

    /// totals[s] = sum of the last r rows, `newest` among them, s < count.
    /// - Returns: the place at which `newest` will be put.
    func total(
        _ newest: UnsafePointer<Float>, _ count: Int, _ place: Place, into totals: UnsafeMutablePointer<Float>
    ) -> Place {
        if place.index == rows { prefix.update(repeating: 0, count: width) }
        let place = placed(place)
        let count = Int64(count)
        totals.update(from: newest, count: Int(count))
        kernels.add_scaled(prefix, 1, min(count, Int64(width)), totals)
        var index = place.index + 1
        while index < rows {
            kernels.add_scaled(row(index), 1, min(count, Int64(width)), totals)
            if !place.raw { break }
            index += 1
        }
        return place
    }

    /// Puts the newest row at `place`. The token that it came with is its last number; it goes to `slot`, which is the slot
    /// after the others or one that it takes over.
    func push(
        _ newest: UnsafePointer<Float>, living: Int, slot: Int, _ place: Place, journal: UnsafeMutablePointer<Float>
    ) {
        let target = row(place.index)
        journal.update(from: target, count: width)
        for index in 0..<rows {
            journal[width + index] = row(index)[slot]
            row(index)[slot] = 0
        }
        prefix[slot] = 0
        target.update(from: newest, count: living)
        if living < width { (target + living).update(repeating: 0, count: width - living) }
        target[slot] = newest[living]
        add(target, to: prefix)
    }

    /// Takes the newest row, which push() put at `place`, out again. prefix is right after restorePrefix() only.
    func pop(slot: Int, _ place: Place, journal: UnsafePointer<Float>) {
        row(place.index).update(from: journal, count: width)
        for index in 0..<rows { row(index)[slot] = journal[width + index] }
    }

    func restorePrefix(_ place: Place) {
        prefix.update(repeating: 0, count: width)
        for index in 0..<place.index { add(row(index), to: prefix) }
    }
}

// The positions of a layer's heads as ranges, first ..< end: those that a head has, and those of the tokens seen that it has not.
// Ascending, and as few as there can be: no two of a kind touch.

struct PositionRanges: @unchecked Sendable {
    /// Keeps the memory of the pointers below.
    private let memory: Buffer<Int64>
    /// Of list 2 * head + (0 what it has, 1 what it has not): its first range; one more at the end.
    private let starts: UnsafePointer<Int64>
    /// Two numbers a range.
    private let bounds: UnsafePointer<Int32>

    /// - Parameters:
    ///   - seen: tokens seen, more than any position.
    ///   - positions: of each head, ascending.
    init(
        heads: Int, seen: Int, _ pool: SelectionMemory, _ positions: (_ head: Int) -> UnsafeBufferPointer<Int32>
    ) throws(KVSieveError) {
        let lists = 2 * heads
        // The most that so many positions can make, so that sequences of one size need memory of one size.
        var ranges = 0
        for head in 0..<heads {
            let count = positions(head).count
            ranges += min(2 * count + 1, 2 * (seen - count) + 1)
        }
        // A range is two numbers of 32 bits: one word.
        let words = lists + 1 + ranges
        let memory = try pool.take(words)
        let starts = try memory.reserve(words)
        let bounds = UnsafeMutableRawPointer(starts + lists + 1).assumingMemoryBound(to: Int32.self)
        var next = 0
        for list in 0..<lists {
            starts[list] = Int64(next)
            Self.walk(positions(list / 2), seen) { first, end, missing in
                guard missing == (list % 2 == 1) else { return }
                bounds[2 * next] = Int32(truncatingIfNeeded: first)
                bounds[2 * next + 1] = Int32(truncatingIfNeeded: end)
                next += 1
            }
        }
        starts[lists] = Int64(next)
        self.memory = memory
        self.starts = UnsafePointer(starts)
        self.bounds = UnsafePointer(bounds)
    }

    /// The bounds of a head's ranges, two numbers each.
    func of(_ head: Int, missing: Bool) -> UnsafeBufferPointer<Int32> {
        let list = 2 * head + (missing ? 1 : 0)
        let first = Int(starts[list])
        return UnsafeBufferPointer(start: bounds + 2 * first, count: 2 * (Int(starts[list + 1]) - first))
    }

    /// Calls `body` with every range of positions that are there, and of those that are missing, in order.
    private static func walk(
        _ positions: UnsafeBufferPointer<Int32>, _ seen: Int,
        _ body: (_ first: Int, _ end: Int, _ missing: Bool) -> Void
    ) {
        var end = 0
        var index = 0
        while index < positions.count {
            let first = Int(positions[index])
            if first > end { body(end, first, true) }
            end = first
            while index < positions.count, Int(positions[index]) == end {
                end += 1
                index += 1
            }
            body(first, end, false)
        }
        if end < seen { body(end, seen, true) }
    }
}

// The positions of the rows of a layer's cache: those that an earlier selection kept, then positions from `seen` on.

struct RowOrigins: Sendable {
    let kept: Selection
    let seen: Int

    /// The position of a row.
    func position(_ head: Int, _ row: Int) -> Int32 {
        let count = kept.count(head)
        return row < count
            ? kept.positions[Int(kept.offsets[head]) &+ row] : Int32(truncatingIfNeeded: seen &+ row &- count)
    }
}

// A slot's score pooled over the living slots whose positions are near its own (AhaKV, decision A12). What has left, or never
// came, counts 0 in the mean, which divides by the kernel.

/// The slots of a choice in the order of their positions.
struct SlotOrder: @unchecked Sendable {
    /// (C + 1).
    let slots: UnsafeMutablePointer<Int32>
    /// The position in each slot.
    let positions: UnsafeMutablePointer<Int32>

    /// The index at which `position` stands, or would.
    private func index(of position: Int32, _ count: Int) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if positions[Int(slots[middle])] < position { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The newest position is to stand in `slot`: one of the `count` that live, whose position leaves, or the one behind.
    func append(_ slot: Int, _ count: Int) {
        var last = count
        if slot < count {
            let index = index(of: positions[slot], count)
            last = count - 1
            (slots + index).update(from: slots + index + 1, count: last - index)
        }
        slots[last] = Int32(truncatingIfNeeded: slot)
    }

    /// The newest is taken out again; of `count` living slots, `slot` held it, and held `old` before if anything.
    func takeBack(_ slot: Int, _ count: Int, old: Int32?) {
        guard let old else { return }
        let index = index(of: old, count - 1)
        (slots + index + 1).update(from: slots + index, count: count - 1 - index)
        slots[index] = Int32(truncatingIfNeeded: slot)
    }

    /// - Parameters:
    ///   - totals: of the `count` living slots, and behind them of the newest token, whose position is `newest`.
    ///   - out: the same, pooled.
    func pool(
        _ totals: UnsafePointer<Float>, _ count: Int, newest: Int, _ pool: Pool, kernel: Int,
        into out: UnsafeMutablePointer<Float>
    ) {
        let reach = kernel / 2
        func place(_ index: Int) -> (slot: Int, position: Int) {
            if index == count { return (count, newest) }
            let slot = Int(slots[index])
            return (slot, Int(positions[slot]))
        }
        var first = 0
        for index in 0...count {
            let (slot, position) = place(index)
            while place(first).position < position - reach { first += 1 }
            var value = totals[place(first).slot]
            var other = first + 1
            while other <= count {
                let near = place(other)
                if near.position > position + reach { break }
                value = pool == .max ? max(value, totals[near.slot]) : value + totals[near.slot]
                other += 1
            }
            out[slot] = pool == .max ? value : value / Float(kernel)
        }
    }
}

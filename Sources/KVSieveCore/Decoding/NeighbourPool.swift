// A slot's score, pooled over the slots whose positions are near its own (AhaKV, decision A12). A position that no slot holds
// counts 0 in the mean, which divides by the kernel.

/// The slots of a choice in the order of their positions.
struct SlotOrder: @unchecked Sendable {
    /// (C + 1).
    let slots: UnsafeMutablePointer<Int32>
    /// The position in each slot.
    let positions: UnsafeMutablePointer<Int32>

    /// The index of `position`, or the one at which it would be.
    private func index(of position: Int32, _ count: Int) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if positions[Int(slots[middle])] < position { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Puts the newest position in `slot`: one of the `count` in use, whose position is dropped, or the first free one.
    func append(_ slot: Int, _ count: Int) {
        var last = count
        if slot < count {
            let index = index(of: positions[slot], count)
            last = count - 1
            (slots + index).update(from: slots + index + 1, count: last - index)
        }
        slots[last] = Int32(truncatingIfNeeded: slot)
    }

    /// Takes the newest position out of `slot` again, one of `count` in use; `old` is what the slot held before, if anything.
    func takeBack(_ slot: Int, _ count: Int, old: Int32?) {
        guard let old else { return }
        let index = index(of: old, count - 1)
        (slots + index + 1).update(from: slots + index, count: count - 1 - index)
        slots[index] = Int32(truncatingIfNeeded: slot)
    }

    /// - Parameters:
    ///   - totals: of the `count` slots in use, then of the newest token, whose position is `newest`.
    ///   - out: the same, pooled.
    ///   - scratch: 3 (count + 1) floats.
    func pool(
        _ totals: UnsafePointer<Float>, _ count: Int, newest: Int, _ pool: Pool, kernel: Int,
        into out: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
    ) {
        let length = count + 1
        let (values, sums) = (scratch, scratch + length)
        let places = UnsafeMutableRawPointer(scratch + 2 * length).bindMemory(to: Int32.self, capacity: length)
        for index in 0..<count {
            let slot = Int(slots[index])
            values[index] = totals[slot]
            places[index] = positions[slot]
        }
        values[count] = totals[count]
        places[count] = Int32(truncatingIfNeeded: newest)
        sums.update(from: values, count: length)
        // Positions ascend and differ, so that a neighbour is at most half a kernel of places away.
        let reach = Int32(truncatingIfNeeded: kernel / 2)
        for distance in 1..<(kernel / 2 + 1) where distance < length {
            Self.add(values, places, length, distance, reach, pool, sums)
        }
        let divisor = pool == .max ? 1 : Float(kernel)
        for index in 0..<count { out[Int(slots[index])] = sums[index] / divisor }
        out[count] = sums[count] / divisor
    }

    /// sums[i] takes in values[i + distance], and sums[i + distance] values[i], where the two are near: loops
    /// without a branch.
    private static func add(
        _ values: UnsafePointer<Float>, _ places: UnsafePointer<Int32>, _ length: Int, _ distance: Int, _ reach: Int32,
        _ pool: Pool, _ sums: UnsafeMutablePointer<Float>
    ) {
        let pairs = length &- distance
        let (later, laterPlaces, laterSums) = (values + distance, places + distance, sums + distance)
        switch pool {
        case .mean:
            for i in 0..<pairs {
                let value = later[i]
                sums[i] += laterPlaces[i] &- places[i] <= reach ? value : 0
            }
            for i in 0..<pairs {
                let value = values[i]
                laterSums[i] += laterPlaces[i] &- places[i] <= reach ? value : 0
            }
        case .max:
            for i in 0..<pairs {
                let near = later[i]
                let value = laterPlaces[i] &- places[i] <= reach ? near : 0
                sums[i] = value > sums[i] ? value : sums[i]
            }
            for i in 0..<pairs {
                let near = values[i]
                let value = laterPlaces[i] &- places[i] <= reach ? near : 0
                laterSums[i] = value > laterSums[i] ? value : laterSums[i]
            }
        }
    }
}

// One choice of a layer while its sequence is decoded - a key/value head, or all heads of a layer that go together: the
// position in each slot, and the value norms of the tokens.
//
// A new token is put in the first free slot. If all C are in use, one is freed for it: of the slots that hold neither one of the
// last `recent` positions nor one of the first `sinks` nor a protected one, the one with the lowest score (times its pooled value
// norm); of equals the highest position. Without evidence: the oldest.

import CSupport

struct HeadSlots: @unchecked Sendable {
    let rule: DecodeRule
    /// (C).
    let positions: UnsafeMutablePointer<Int32>
    /// Slot of each of the last `recent` positions, at position % recent.
    let recentSlots: UnsafeMutablePointer<Int32>
    /// Slots of the protected tokens after the sinks, ascending: they never move.
    let protectedSlots: UnsafeMutablePointer<Int32>
    /// The slots by position, where scores are pooled.
    let order: SlotOrder?
    /// (C): gamma, the pooled squared value norm; final when half a kernel of later tokens is known.
    let gamma: UnsafeMutablePointer<Float>
    /// Squared norms of the last `kernel` positions, at position % kernel.
    let norms: UnsafeMutablePointer<Float>

    /// What a step did for one token: enough to take it back.
    struct Entry: BitwiseCopyable {
        var slot: Int32 = 0
        var oldPosition: Int32 = 0
        var oldRecentSlot: Int32 = 0
        var oldGamma: Float = 0
        var oldNorm: Float = 0
    }

    /// Prefetches the short pieces that a step reads.
    func prefetch() { prefetchLines(recentSlots, bytes: 4 * rule.recent) }

    /// What scores are multiplied with.
    var weights: UnsafePointer<Float>? { rule.valueKernel == nil ? nil : UnsafePointer(gamma) }

    private var kernel: Int { rule.valueKernel ?? 0 }

    /// gamma of `position`; the ring has the norms of all its neighbours now.
    private func pooled(around position: Int) -> Float {
        var sum: Float = 0
        for neighbour in max(0, position - kernel / 2)...(position + kernel / 2) { sum += norms[neighbour % kernel] }
        return sum / Float(kernel)
    }

    /// Takes in the norm of the newest position. gamma of the position half a kernel before it is then final.
    func addNorm(_ norm: Float, position: Int) {
        norms[position % kernel] = norm
        let final = position - kernel / 2
        if final >= 0, final < position { gamma[Int(recentSlots[final % rule.recent])] = pooled(around: final) }
    }

    /// The oldest of 0 ..< count outside the first `sinks` positions and the protected ones. Those that are recent are never the
    /// oldest.
    func oldest(_ count: Int) -> Int {
        var (slot, lowest) = (0, Int32.max)
        var first = 0
        for index in 0...rule.protected {
            let end = index < rule.protected ? Int(protectedSlots[index]) : count
            for s in first..<max(first, end) where positions[s] >= rule.sinks && positions[s] < lowest {
                (slot, lowest) = (s, positions[s])
            }
            first = end + 1
        }
        return slot
    }

    /// The slot of 0 ..< count to free for `newest`. Floats find the slots worth a comparison in double: rounding may make two
    /// scores equal, but never changes their order.
    /// - Parameters:
    ///   - totals: as floats; those of slots that are kept become NaN.
    ///   - minima: scratch, a float for each 32 slots.
    ///   - exact: a slot's score in double, without its norm.
    func worst(
        _ totals: UnsafeMutablePointer<Float>, _ count: Int, newest: Int, minima: UnsafeMutablePointer<Float>,
        exact: (_ slot: Int) -> Double
    ) -> Int {
        // The entry of the newest is that of the one that is no longer recent. First tokens have never moved.
        let leaving = newest % rule.recent
        for index in 0..<leaving { totals[Int(recentSlots[index])] = .nan }
        for index in (leaving + 1)..<max(rule.recent, leaving + 1) { totals[Int(recentSlots[index])] = .nan }
        for slot in 0..<min(rule.sinks, count) { totals[slot] = .nan }
        for index in 0..<rule.protected { totals[Int(protectedSlots[index])] = .nan }
        kernels.candidate_minima(totals, weights, Int64(count), minima)
        let blocks = (count + 31) / 32
        var least = Float.infinity
        for block in 0..<blocks { least = min(least, minima[block]) }
        var (slot, lowest) = (0, Double.infinity)
        for block in 0..<blocks where minima[block] == least {
            for s in (block * 32)..<min(block * 32 + 32, count) where !totals[s].isNaN {
                let score = exact(s) * (weights.map { Double($0[s]) } ?? 1)
                if score < lowest || score == lowest && positions[s] > positions[slot] { (slot, lowest) = (s, score) }
            }
        }
        return slot
    }

    /// Puts the newest token in `slot`, one of the `living` or the first free one; the entry remembers what was there.
    func place(_ position: Int, _ slot: Int, _ living: Int, _ entry: inout Entry) {
        entry.slot = Int32(truncatingIfNeeded: slot)
        entry.oldPosition = positions[slot]
        order?.append(slot, living)
        positions[slot] = Int32(truncatingIfNeeded: position)
        entry.oldRecentSlot = recentSlots[position % rule.recent]
        recentSlots[position % rule.recent] = entry.slot
        if kernel > 0 {
            entry.oldGamma = gamma[slot]
            if kernel == 1 { gamma[slot] = norms[0] }
        }
    }

    /// - Parameter living: slots in use before the token was put.
    func takeBack(_ position: Int, _ entry: Entry, living: Int) {
        let slot = Int(entry.slot)
        positions[slot] = entry.oldPosition
        order?.takeBack(slot, living, old: slot < living ? entry.oldPosition : nil)
        recentSlots[position % rule.recent] = entry.oldRecentSlot
        if kernel > 0 {
            gamma[slot] = entry.oldGamma
            norms[position % kernel] = entry.oldNorm
        }
    }

    func norm(at position: Int) -> Float { kernel > 0 ? norms[position % kernel] : 0 }
}

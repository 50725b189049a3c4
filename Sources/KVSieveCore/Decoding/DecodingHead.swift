// One key/value head while its sequence is decoded: the position in each slot, and what is known of each slot's worth.
//
// A token of position t arrives behind the living slots; with more than C of them one leaves, and the new token takes over
// its slot. Who leaves: of the slots that hold neither one of the last `recent` positions nor one of the first `sinks`, that
// with the lowest score (times its pooled value norm); of equals the highest position.

import CSupport

struct DecodingHead: @unchecked Sendable {
    let rule: DecodeRule
    /// (C).
    let positions: UnsafeMutablePointer<Int32>
    /// Slot of each of the last `recent` positions, at position % recent.
    let recentSlots: UnsafeMutablePointer<Int32>
    /// (C): gamma, the pooled squared value norm; final once half a kernel of tokens has come after.
    let gamma: UnsafeMutablePointer<Float>
    /// Squared norms of the last `kernel` positions, at position % kernel.
    let norms: UnsafeMutablePointer<Float>
    let rolling: RollingScores?
    let running: RunningScores?

    /// What a step did for one token: enough to take it back.
    struct Entry: BitwiseCopyable {
        var slot: Int32 = 0
        var moves = false
        var oldPosition: Int32 = 0
        var oldRecentSlot: Int32 = 0
        var oldGamma: Float = 0
        var oldNorm: Float = 0
        /// RollingScores.taken of the row that was replaced.
        var oldTaken: Int32 = -1
    }

    /// Asks for the short pieces that a step reads.
    func prefetch(_ place: RollingScores.Place) {
        prefetchLines(recentSlots, bytes: 4 * (rule.recent + rule.rows))
        rolling?.prefetch(place)
        if let running { support_prefetch(running.place) }
    }

    /// What scores are multiplied with.
    var weights: UnsafePointer<Float>? { rule.valueKernel == nil ? nil : UnsafePointer(gamma) }

    private var kernel: Int { rule.valueKernel ?? 0 }

    /// gamma of `position`, whose last neighbour has just come; the ring holds all of them.
    private func pooled(around position: Int) -> Float {
        var sum: Float = 0
        for neighbour in max(0, position - kernel / 2)...(position + kernel / 2) { sum += norms[neighbour % kernel] }
        return sum / Float(kernel)
    }

    /// The norm of the newest position joins; the one half a kernel before it now knows all its neighbours.
    func addNorm(_ norm: Float, position: Int) {
        norms[position % kernel] = norm
        let final = position - kernel / 2
        if final >= 0, final < position { gamma[Int(recentSlots[final % rule.recent])] = pooled(around: final) }
    }

    /// Slot of 0 ..< count that leaves when `newest` joins. Scores are compared in double; which are worth it, in float:
    /// rounding may make two scores equal, but never changes places.
    /// - Parameters:
    ///   - rounded: the totals in float; those of slots that are kept become NaN.
    ///   - minima: scratch, a float for each 32 slots.
    func worst<Score: BinaryFloatingPoint>(
        _ totals: UnsafePointer<Score>, rounded: UnsafeMutablePointer<Float>, _ count: Int, newest: Int,
        minima: UnsafeMutablePointer<Float>
    ) -> Int {
        // Where the newest will stand is the one that is no longer recent. First tokens have never moved.
        let leaving = newest % rule.recent
        for index in 0..<leaving { rounded[Int(recentSlots[index])] = .nan }
        for index in (leaving + 1)..<max(rule.recent, leaving + 1) { rounded[Int(recentSlots[index])] = .nan }
        for slot in 0..<min(rule.sinks, count) { rounded[slot] = .nan }
        kernels.candidate_minima(rounded, weights, Int64(count), minima)
        let blocks = (count + 31) / 32
        var least = Float.infinity
        for block in 0..<blocks { least = min(least, minima[block]) }
        var (slot, lowest) = (0, Double.infinity)
        for block in 0..<blocks where minima[block] == least {
            for s in (block * 32)..<min(block * 32 + 32, count) where !rounded[s].isNaN {
                let score = Double(totals[s]) * (weights.map { Double($0[s]) } ?? 1)
                if score < lowest || score == lowest && positions[s] > positions[slot] { (slot, lowest) = (s, score) }
            }
        }
        return slot
    }

    /// Puts the newest token in `slot`; the entry remembers what was there.
    func place(_ position: Int, _ slot: Int, _ entry: inout Entry) {
        entry.slot = Int32(truncatingIfNeeded: slot)
        entry.oldPosition = positions[slot]
        positions[slot] = Int32(truncatingIfNeeded: position)
        entry.oldRecentSlot = recentSlots[position % rule.recent]
        recentSlots[position % rule.recent] = entry.slot
        if kernel > 0 {
            entry.oldGamma = gamma[slot]
            if kernel == 1 { gamma[slot] = norms[0] }
        }
    }

    func takeBack(_ position: Int, _ entry: Entry) {
        let slot = Int(entry.slot)
        positions[slot] = entry.oldPosition
        recentSlots[position % rule.recent] = entry.oldRecentSlot
        if kernel > 0 {
            gamma[slot] = entry.oldGamma
            norms[position % kernel] = entry.oldNorm
        }
    }

    func norm(at position: Int) -> Float { kernel > 0 ? norms[position % kernel] : 0 }
}

// What was lost: how many rows a layer has dropped, and which share of the attention those have that it keeps. And what the
// parameter mass makes of the same sums: heads keep no more than they need for a share.

import CSupport

/// Of one layer.
public struct LayerReport {
    /// Rows of all heads.
    public let kept: Int
    public let dropped: Int
    /// First positions that every head still has.
    public let intact: Int
    /// A head's share of the attention; nil if it is not known.
    public let mass: UnsafePointer<Float>?
    /// NaN if the shares are not known.
    public let meanMass: Double
    public let leastMass: Double

    fileprivate init(kept: Int, seen: Int, heads: Int, intact: Int, mass: UnsafePointer<Float>?) {
        self.kept = kept
        dropped = seen * heads - kept
        self.intact = intact
        self.mass = mass
        guard let mass else {
            (meanMass, leastMass) = (.nan, .nan)
            return
        }
        var (sum, least) = (0.0, Double(mass[0]))
        for head in 0..<heads {
            sum += Double(mass[head])
            least = min(least, Double(mass[head]))
        }
        (meanMass, leastMass) = (sum / Double(heads), least)
    }
}

extension Plan {
    /// Of what a layer keeps now: it may still change before finish. If the layer has taken steps, of its slots.
    public func report(layer: Int) throws(KVSieveError) -> LayerReport {
        try checkLayer(layer)
        if case .decoding(let decoding) = phase, decoding.seen(byLayer: layer) != current.length?.seen {
            return try LayerReport(
                kept: decoding.layer(layer).living * shape.heads, seen: decoding.seen(byLayer: layer),
                heads: shape.heads, intact: intactSlots(layer), mass: nil)
        }
        support_lock(lock)
        defer { support_unlock(lock) }
        let kept = try selection(layer)
        return LayerReport(
            kept: kept.total, seen: kept.frame.length.seen, heads: kept.heads, intact: intact(kept),
            mass: masses.shares(layer, kept))
    }

    private func intact(_ kept: Selection) -> Int {
        var intact = kept.frame.length.seen
        for head in 0..<kept.heads {
            let positions = kept.positions + Int(kept.offsets[head])
            var own = 0
            while own < min(intact, kept.count(head)), positions[own] == own { own += 1 }
            intact = own
        }
        return intact
    }

    private func intactSlots(_ layer: Int) throws(KVSieveError) -> Int {
        var intact = Int.max
        for head in 0..<shape.heads {
            let bounds = try ranges(layer: layer, head: head, dropped: false)
            intact = min(intact, bounds.count > 1 && bounds[0] == 0 ? Int(bounds[1]) : 0)
        }
        return intact
    }

    private var reports: Bool { settings.int(parameters.report) == 1 }

    /// Where the attention of a layer is remembered; nil if nobody asks for it, or none is computed.
    func massMemory(_ frame: Frame, _ reads: Reads?, competes: Bool) throws(KVSieveError) -> TableMemory? {
        guard reads?.queryRows != nil, reports || settings[parameters.mass] > 0 else { return nil }
        if reports { try masses.reserve() }
        return competes ? try masses.next(width: frame.rows) : nil
    }

    /// A layer was observed. What layers before `final` keep cannot change any more.
    func remember(_ layer: Layer, _ reads: Reads?, final: Int) {
        guard reports else { return }
        if reads?.queryRows != nil { masses.keep(layer.index, layer.remembered) }
        settleMasses(before: final)
    }

    func settleMasses(before final: Int) {
        for layer in 0..<final { masses.settle(layer, current.layers[layer].selection) }
    }

    // MARK: - The parameter mass

    /// Where heads or layers keep different numbers of rows.
    func checkMass() throws(KVSieveError) {
        let mass = settings[parameters.mass]
        guard mass > 0 else { return }
        func refusal(_ parameter: String, _ why: String, _ expected: String) -> KVSieveError {
            KVSieveError(
                .parameter,
                "mass is \(mass) and \(parameter): \(why); expected mass 0, or \(expected)")
        }
        if sharing == .layers {
            throw refusal("share 2", "layers that make one choice need different numbers of rows", "share 0 or 1")
        }
        if settings.int(parameters.even) == 1 {
            throw refusal("even 1", "layers would keep different numbers of rows", "even 0")
        }
        if settings.int(parameters.decoding) == 1 {
            throw refusal("decoding 1", "heads would have different numbers of slots", "decoding 0")
        }
    }

    /// The heads of the newest layer may keep no more than they need; those of a follower, no more than its leader's.
    func shrinkToMass(_ state: PrefillState, _ layer: Layer, leader: Int) throws(KVSieveError) {
        let (least, index, budgets) = (settings[parameters.mass], layer.index, state.budgets)
        guard least > 0 else { return }
        try checkMassApart(leader < 0 || state.scores[index]?.awaitMean ?? false)
        if leader < index {
            for head in 0..<shape.heads { budgets.shrink(own: index, head: head, to: budgets.of(leader)[head]) }
            return
        }
        guard let sums = layer.remembered, let scores = state.scores[index] else { return }
        let units = try layer.work.headCounts.reserve(2 * shape.heads)
        for head in 0..<shape.heads { units[head] = budgets.of(index)[head] }
        let need = AttentionNeed(
            frame: layer.frame, scores: scores, sums: sums, least: least, heads: shape.heads, units: units)
        try need.reserve(layer.work)
        try layer.work.forEach(scores.rows, need)
        for head in 0..<shape.heads { budgets.shrink(own: index, head: head, to: units[head]) }
    }
}

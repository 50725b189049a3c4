// The layers of a sequence so far, as a method sees them when it divides the budget. If several ranks have them, all ranks ask the
// same of JoinedLayers.

public struct RankedLayers {
    let layers: [LayerScores?]
    let work: Workspace
    /// The frame of the layer that was observed last.
    public let frame: Frame
    var heads = 1
    /// The layers of all ranks; nil if this plan has the whole model.
    let joined: JoinedLayers?
    /// The layer that was observed last.
    public let newest: Int

    /// - Parameter newest: its number in the model, if that is not how many there were before it.
    init(layers: [LayerScores?], work: Workspace, frame: Frame, heads: Int = 1, newest: Int? = nil) {
        (self.layers, self.work, self.frame, self.heads) = (layers, work, frame, heads)
        joined = nil
        self.newest = newest ?? layers.count - 1
    }

    /// As if the layers up to `newest` had been observed by one plan.
    init(_ joined: JoinedLayers, newest: Int, work: Workspace) {
        layers = []
        self.work = work
        frame = joined.frames[newest]
        heads = joined.heads
        self.joined = joined
        self.newest = newest
    }

    /// The marks that its score was given.
    public var marks: ReadOnlyBuffer<Float> {
        joined?.marks(of: newest) ?? layers.last.flatMap { $0?.marks } ?? ReadOnlyBuffer()
    }

    /// Candidates of a layer, in units, of its longest head; 0 where none competed or scores are no longer remembered.
    public func units(_ layer: Int) -> Int {
        if let joined {
            return (0...newest).contains(layer) && joined.rankings[layer] != .nothing
                ? joined.frames[layer].competing : 0
        }
        return layers.indices.contains(layer) ? layers[layer]?.units ?? 0 : 0
    }

    /// How many of the best `places` of all scores of all layers are each layer's.
    public func placesOfLayers(_ places: Int) throws(KVSieveError) -> ReadOnlyBuffer<Int> {
        if let joined { return try joined.placesOfLayers(places, newest: newest, work) }
        // A row that ranks all heads stands for each of them.
        let areShared = layers.allSatisfy { ($0?.rows ?? 1) == 1 }
        return try LayerQuota.counts(layers, places: places, each: areShared ? heads : 1, work)
    }

    /// How many of the best `places` of all scores of the newest layer are each head's.
    public func placesOfHeads(_ places: Int) throws(KVSieveError) -> ReadOnlyBuffer<Int> {
        if let joined { return try joined.placesOfHeads(places, layer: newest, work) }
        guard let scores = layers.last.flatMap({ $0 }) else { return ReadOnlyBuffer() }
        return try HeadQuota.counts(scores, places: places, work)
    }

    /// Is a unit of the newest layer's first ranking among the best `count`?
    public func isAmongBest(_ count: Int, unit: Int) throws(KVSieveError) -> Bool {
        if let joined { return try joined.isAmongBest(count, unit: unit, layer: newest) }
        guard let row = layers.last.flatMap({ $0?.row(0) }) else { return false }
        return Self.isAmongBest(count, unit: unit, of: row)
    }

    static func isAmongBest(_ count: Int, unit: Int, of row: UnsafeMutableBufferPointer<Float>) -> Bool {
        guard row.indices.contains(unit) else { return false }
        var better = 0
        for (other, score) in row.enumerated()
        where score > row[unit] || score == row[unit] && other < unit { better += 1 }
        return better < count
    }
}

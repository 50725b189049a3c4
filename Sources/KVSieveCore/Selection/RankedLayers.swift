// The layers of a sequence so far, as a method sees them when it divides the budget.

public struct RankedLayers {
    let layers: [LayerScores?]
    let work: Workspace
    /// The frame of the layer that was observed last.
    public let frame: Frame
    var heads = 1

    /// The layer that was observed last.
    public var newest: Int { layers.count - 1 }
    /// The marks that its score was given.
    public var marks: ReadOnlyBuffer<Float> { layers.last.flatMap { $0?.marks } ?? ReadOnlyBuffer() }

    /// Candidates of a layer, in units, of its longest head; 0 where none competed or scores are no longer remembered.
    public func units(_ layer: Int) -> Int { layers.indices.contains(layer) ? layers[layer]?.units ?? 0 : 0 }

    /// How many of the best `places` of all scores of all layers are each layer's.
    public func placesOfLayers(_ places: Int) throws(KVSieveError) -> ReadOnlyBuffer<Int> {
        // A row that ranks all heads stands for each of them.
        let areShared = layers.allSatisfy { ($0?.rows ?? 1) == 1 }
        return try LayerQuota.counts(layers, places: places, each: areShared ? heads : 1, work)
    }

    /// How many of the best `places` of all scores of the newest layer are each head's.
    public func placesOfHeads(_ places: Int) throws(KVSieveError) -> ReadOnlyBuffer<Int> {
        guard let scores = layers.last.flatMap({ $0 }) else { return ReadOnlyBuffer() }
        return try HeadQuota.counts(scores, places: places, work)
    }

    /// Is a unit of the newest layer's first ranking among the best `count`?
    public func isAmongBest(_ count: Int, unit: Int) -> Bool {
        guard let row = layers.last.flatMap({ $0?.row(0) }), row.indices.contains(unit) else { return false }
        var better = 0
        for (other, score) in row.enumerated()
        where score > row[unit] || score == row[unit] && other < unit { better += 1 }
        return better < count
    }
}

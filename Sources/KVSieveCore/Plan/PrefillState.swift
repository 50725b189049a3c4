// The layers of a sequence so far: frames, scores, budgets, and what was chosen already. A plan has two of these: a call prepares
// one beside the other, and the two change places when nothing can fail any more. Their memory is used again for every call and
// every sequence.

/// One layer that was observed.
struct PlannedLayer {
    let frame: Frame
    /// Nil until it is asked for, and again when the layer's budget has changed since.
    let selection: Selection?
}

final class PrefillState {
    private(set) var layers: [PlannedLayer] = []
    /// Of each layer; nil if nothing was scored, or no later call reads the scores.
    private(set) var scores: [LayerScores?] = []
    let budgets: BudgetTable
    /// Of all layers together, where they make one choice.
    let sum: LayerScores

    init(_ shape: ModelShape, _ account: MemoryAccount) {
        budgets = BudgetTable(shape, account)
        sum = LayerScores(account)
        layers.reserveCapacity(shape.layers)
        scores.reserveCapacity(shape.layers)
    }

    /// Of the first layer; nil before it.
    var length: CacheLength? { layers.first?.frame.length }

    func copy(_ other: PrefillState) throws(KVSieveError) {
        clear()
        try budgets.copy(other.budgets)
        try sum.copy(other.sum)
        layers.append(contentsOf: other.layers)
        scores.append(contentsOf: other.scores)
    }

    /// Forgets all layers; the memory is kept.
    func clear() {
        layers.removeAll(keepingCapacity: true)
        scores.removeAll(keepingCapacity: true)
        budgets.clear()
        sum.forget()
    }

    /// The next layer, whose heads may keep every unit.
    /// - Parameter layerScores: nil when nothing competes, or nothing was scored.
    func append(_ frame: Frame, _ layerScores: LayerScores?) {
        layers.append(PlannedLayer(frame: frame, selection: nil))
        scores.append(layerScores)
        budgets.append(frame)
    }

    /// Selections by other budgets than those of `earlier` are no longer right.
    func forgetSelections(since earlier: PrefillState) {
        for layer in earlier.layers.indices where !budgets.of(layer).elementsEqual(earlier.budgets.of(layer)) {
            layers[layer] = PlannedLayer(frame: layers[layer].frame, selection: nil)
        }
    }

    /// Every layer chooses anew when it is asked for next.
    func forgetSelections() {
        for layer in layers.indices { layers[layer] = PlannedLayer(frame: layers[layer].frame, selection: nil) }
    }

    /// What a layer keeps, chosen now if its budget changed since it was last asked for.
    /// - Parameters:
    ///   - origins: positions of the rows of its cache; nil for a prompt.
    ///   - waits: the choice waits for later layers: everything is kept.
    @discardableResult
    func select(
        _ layer: Int, from origins: RowOrigins?, waits: Bool = false, _ work: Workspace
    ) throws(KVSieveError) -> Selection {
        if let selection = layers[layer].selection { return selection }
        let frame = layers[layer].frame
        let units = budgets.of(layer)
        let made =
            waits
            ? try Selection(frame, nil, units: repeatElement(frame.units, count: units.count), from: origins, work)
            : try Selection(frame, sum.table == nil ? scores[layer] : sum, units: units, from: origins, work)
        layers[layer] = PlannedLayer(frame: layers[layer].frame, selection: made)
        return made
    }

    /// A layer's units are ranked by these from now on.
    func rank(_ layer: Int, by ranking: LayerScores?) { scores[layer] = ranking }

    /// Frees a layer's scores: no later call reads them.
    func dropScores(_ layer: Int) { scores[layer] = nil }
}

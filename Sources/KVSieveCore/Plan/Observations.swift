// The layers that a plan has seen of its sequence: frames, scores, budgets, and what was chosen already. A plan has two of
// these: a call prepares one beside the other, and the two trade places when nothing can fail any more. Their memory is used
// again for every call and every sequence.

/// One layer that was observed.
struct PlannedLayer {
    let frame: Frame
    /// Nil until it is asked for, and again when the layer's budget has changed since.
    let selection: Selection?
}

final class Observations {
    private(set) var layers: [PlannedLayer] = []
    private(set) var scores: ScoreTable
    let budgets: BudgetTable

    init(_ shape: ModelShape, _ account: MemoryAccount) {
        scores = ScoreTable(shape: shape)
        budgets = BudgetTable(shape, account)
        layers.reserveCapacity(shape.layers)
        scores.layers.reserveCapacity(shape.layers)
    }

    func copy(_ other: Observations) throws(KVSieveError) {
        clear()
        try budgets.copy(other.budgets)
        layers.append(contentsOf: other.layers)
        scores.layers.append(contentsOf: other.scores.layers)
    }

    /// Forgets all layers; the memory stays.
    func clear() {
        layers.removeAll(keepingCapacity: true)
        scores.layers.removeAll(keepingCapacity: true)
        budgets.clear()
    }

    /// The next layer, whose heads may keep every unit.
    /// - Parameter layerScores: nil when nothing competes.
    func append(_ frame: Frame, _ layerScores: LayerScores?) {
        layers.append(PlannedLayer(frame: frame, selection: nil))
        scores.layers.append(layerScores)
        budgets.append(frame)
    }

    /// Selections by other budgets than those of `earlier` are no longer right.
    func forgetSelections(since earlier: Observations) {
        for layer in earlier.layers.indices where !budgets.of(layer).elementsEqual(earlier.budgets.of(layer)) {
            layers[layer] = PlannedLayer(frame: layers[layer].frame, selection: nil)
        }
    }

    /// What a layer keeps, chosen now if its budget changed since it was last asked for.
    /// - Parameter origin: where its rows come from; nil for a prompt's.
    @discardableResult
    func select(_ layer: Int, from origin: Origin?, _ work: Workspace) throws(KVSieveError) -> Selection {
        if let selection = layers[layer].selection { return selection }
        let made = try Selection(
            layers[layer].frame, scores.layers[layer], units: budgets.of(layer), from: origin, work)
        layers[layer] = PlannedLayer(frame: layers[layer].frame, selection: made)
        return made
    }

    /// Lets go of a layer's scores: nobody will look at them again.
    func dropScores(_ layer: Int) { scores.layers[layer] = nil }
}

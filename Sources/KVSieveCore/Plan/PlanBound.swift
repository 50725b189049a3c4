// How many rows a head may keep, before there are any: engines allocate by it.

extension Plan {
    /// The most rows that a head of the layer keeps of a prompt of so many tokens; if the plan decodes, at least its slots.
    public func bound(layer: Int, tokens: Int) throws(KVSieveError) -> Int {
        try checkLayer(layer)
        guard (1...ModelShape.mostTokens).contains(tokens) else {
            throw KVSieveError(.shape, "tokens is \(tokens); expected 1 ... \(ModelShape.mostTokens)")
        }
        let method = try currentMethod()
        let length = try protected.checked(CacheLength(prompt: tokens, caches: model.layers * model.heads))
        let frame = try method.frame(length, layer: first.layer + layer)
        let slots = try currentRule(method, length)?.budget ?? 0
        // A whole frame has no budget.
        guard frame.units > 0 else { return max(slots, frame.rows) }
        // A head of which nothing is kept for certain keeps a unit.
        let most = min(
            frame.competingRows,
            max(method.mostRows(frame, layer: first.layer + layer), frame.certain > 0 ? 0 : frame.unit))
        return max(slots, frame.certain + most)
    }
}

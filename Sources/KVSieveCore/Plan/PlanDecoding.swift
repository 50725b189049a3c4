// The calls of a finished plan while the model generates. DecodingSequence has the tokens of the slots.

extension Plan {
    /// Takes new tokens in one layer. On failure nothing has changed and nothing was written.
    /// - Parameters:
    ///   - slot: (H, m): the slot that each moves to, -1 if it does not move.
    ///   - input: what the caller gives of what the step needs; its argument is the number of slots in use.
    public func step(
        layer: Int, slot: UnsafeMutablePointer<Int32>,
        input: (_ needs: Needs, _ living: Int) throws(KVSieveError) -> StepInput
    ) throws(KVSieveError) {
        try checkLayer(layer)
        let decoding = try currentDecoding("step")
        let decoded = decoding.layer(layer)
        try decoding.step(input(decoded.rule.needs, decoded.living), currentWorkspace(), slot: slot)
        rangePool.clear()
    }

    /// Takes the newest tokens back, at most those of the last step.
    public func trim(_ tokens: Int) throws(KVSieveError) {
        let decoding = try currentDecoding("trim")
        try decoding.trim(tokens)
        rangePool.clear()
    }

    /// The position in each slot of a head, and the tokens that its layer has seen.
    public func slots(
        layer: Int, head: Int
    ) throws(KVSieveError) -> (positions: UnsafeBufferPointer<Int32>, tokens: Int) {
        try checkLayer(layer)
        try checkHead(head)
        switch phase {
        case .prefill: throw KVSieveError(.state, "slots of layer \(layer) were asked for before finish")
        case .decoding(let decoding): return (decoding.layer(layer).positions(head), decoding.seen(byLayer: layer))
        case .finished: break
        }
        let kept = try kept(layer: layer)
        let first = Int(kept.offsets[head])
        let count = Int(kept.offsets[head + 1]) - first
        return (UnsafeBufferPointer(start: kept.positions + first, count: count), kept.frame.length.seen)
    }

    private func currentDecoding(_ call: StaticString) throws(KVSieveError) -> DecodingSequence {
        guard decodes else {
            throw KVSieveError(
                .state, "\(call): \(row.name) does not slot while decoding; its caches grow by a row a token")
        }
        switch phase {
        case .prefill: throw KVSieveError(.state, "\(call) came before finish")
        case .decoding(let decoding): return decoding
        case .finished:
            throw KVSieveError(
                .state, "\(call): the plan remembers nothing to decode with; set decoding to 1 before the first observe"
            )
        }
    }
}

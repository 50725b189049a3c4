// What a finished plan does while the model generates; the books are DecodingSequence's.

extension Plan {
    /// New tokens arrive in one layer. On failure nothing has changed and nothing was written.
    /// - Parameter evict: (H, m): where each goes, -1 where it stays.
    public func step(
        layer: Int, evict: UnsafeMutablePointer<Int32>, input: (_ needsValues: Bool) throws(KVSieveError) -> StepInput
    ) throws(KVSieveError) {
        try checkLayer(layer)
        let decoding = try currentDecoding("step")
        let needsValues = decoding.layer(layer).rule.valueKernel != nil
        try decoding.step(input(needsValues), currentWorkspace(), evict: evict)
    }

    /// The newest tokens, at most those of the last step, never came.
    public func trim(_ tokens: Int) throws(KVSieveError) { try currentDecoding("trim").trim(tokens) }

    /// The position in each slot of a head, and the tokens that its layer has seen.
    public func slots(
        layer: Int, head: Int
    ) throws(KVSieveError) -> (positions: UnsafeBufferPointer<Int32>, tokens: Int) {
        try checkLayer(layer)
        guard (0..<shape.heads).contains(head) else {
            throw KVSieveError(.shape, "head is \(head); expected 0 ... \(shape.heads - 1)")
        }
        guard finished else { throw KVSieveError(.state, "slots of layer \(layer) were asked for before finish") }
        if let decoding { return (decoding.layer(layer).positions(head), decoding.seen(layer)) }
        let kept = try kept(layer: layer)
        let first = Int(kept.offsets[head])
        let count = Int(kept.offsets[head + 1]) - first
        return (UnsafeBufferPointer(start: kept.positions + first, count: count), kept.frame.length.seen)
    }

    private func currentDecoding(_ call: StaticString) throws(KVSieveError) -> DecodingSequence {
        guard row.decodes else {
            throw KVSieveError(
                .state, "\(call): \(row.name) does not evict while decoding; its caches grow by a row a token")
        }
        guard finished else { throw KVSieveError(.state, "\(call) came before finish") }
        guard let decoding else {
            throw KVSieveError(
                .state, "\(call): the plan remembers nothing to decode with; set decoding to 1 before the first observe"
            )
        }
        return decoding
    }
}

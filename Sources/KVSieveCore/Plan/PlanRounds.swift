// The rounds of a sequence: what ends one, what begins the next, and what begins another sequence.

extension Plan {
    public func finish() throws(KVSieveError) {
        guard case .prefill(let caches) = phase else { throw KVSieveError(.state, "the plan is finished already") }
        if let joined { return try finish(joined, caches) }
        let length = try observedLength()
        if sharing == .layers { current.forgetSelections() }
        do {
            for layer in 0..<shape.layers {
                try current.select(layer, from: caches?.origins(layer), currentWorkspace())
            }
        } catch {
            if sharing == .layers { current.forgetSelections() }
            throw error
        }
        forget(before: shape.layers)
        endRound(length)
    }

    /// Of the first layer, once all were observed.
    func observedLength() throws(KVSieveError) -> CacheLength {
        guard let length = current.length, current.layers.count == shape.layers else {
            throw KVSieveError(
                .state, "\(current.layers.count) of \(shape.layers) layers were observed; call finish after the last")
        }
        return length
    }

    func endRound(_ length: CacheLength) {
        settleMasses(before: shape.layers)
        rangePool.clear()
        phase =
            decodingPool.layers.isEmpty
            ? .finished : .decoding(DecodingSequence(decodingPool.layers, seen: length.seen))
    }

    /// The sequence goes on: `tokens` new ones follow the kept rows of each layer. Every layer is observed again.
    public func extend(_ tokens: Int) throws(KVSieveError) {
        switch phase {
        case .prefill: throw KVSieveError(.state, "extend came before finish")
        case .decoding: throw KVSieveError(.state, "extend: this plan decodes; it takes new tokens by step")
        case .finished: break
        }
        let seen = current.length?.seen ?? 0
        var kept: [Selection] = []
        for layer in 0..<shape.layers { try kept.append(self.kept(layer: layer)) }
        let others = try joined?.caches.size()
        let longest = others?.longest ?? kept.reduce(0) { max($0, $1.longest) }
        let most = min(ModelShape.mostTokens - longest, Int(Int32.max) - seen)
        guard tokens >= 1, tokens <= most else {
            let expected = most > 0 ? "expected 1 ... \(most)" : "the sequence can have no more; reset begins the next"
            throw KVSieveError(.shape, "tokens is \(tokens); \(expected)")
        }
        phase = .prefill(try ExtendedCaches(kept, seen: seen, new: tokens, alignment, of: joined))
        current.clear()
        rangePool.clear()
        masses.clear()
    }

    /// Ready for the next sequence; parameters and memory are kept.
    public func reset() {
        forget(before: shape.layers)
        current.clear()
        rangePool.clear()
        masses.clear()
        chunks.clear()
        protected.clear()
        joined?.forget()
        decodingPool.release()
        phase = .prefill(nil)
    }
}

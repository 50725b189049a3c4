// finish() of a plan that has joined others: docs/ranks.md. All ranks make the same rounds in the same order. What can fail on one
// rank alone is told in the next round, and thrown by all; then every plan is as before.

extension Plan {
    func finish(_ joined: JoinedPlan, _ caches: ExtendedCaches?) throws(KVSieveError) {
        let (layers, exchange) = (joined.layers, joined.exchange)
        exchange.begin()
        defer {
            layers.clear()
            next.clear()
        }
        let sizes = try exchangeHeaders(joined)
        // Every rank has a length and a method, or none would be here.
        let (length, method, work) = (try observedLength(), try currentMethod(), currentWorkspace())
        var failure: KVSieveError?
        do throws(KVSieveError) { try prepare(joined, caches, length, method, sizes, work) } catch { failure = error }
        _ = try exchange.message(0)
        try exchange.send(failure)

        try layers.exchangeMarks(sizes.marks, work)
        if exchangesMeans(layers, method, sizes) {
            try layers.exchangeMeans(sizes.meanFloats, work) { isNeeded($0, method, layers.part) }
        } else {
            layers.takeOwnMeans()
        }
        for layer in 0..<joined.model.layers where layers.frames[layer].units > 0 {
            try method.budgets(RankedLayers(layers, newest: layer, work: work), into: next.budgets)
        }
        do throws(KVSieveError) { try choose(layers, caches, work) } catch { failure = error }
        try exchangeChoices(joined, failure, seen: length.seen)

        forget(before: shape.layers)
        swap(&current, &next)
        for layer in 0..<shape.layers { current.dropScores(layer) }
        joined.endRound()
        endRound(length)
    }

    // MARK: - The header

    private func exchangeHeaders(_ joined: JoinedPlan) throws(KVSieveError) -> JoinedSizes {
        let (exchange, layers) = (joined.exchange, joined.layers)
        let message = try exchange.message(RankHeader.bytes)
        header(joined).write(settings, to: message)
        var failure: KVSieveError?
        do throws(KVSieveError) {
            _ = try observedLength()
            _ = try currentMethod()
        } catch { failure = error }
        try exchange.send(failure)
        let first = RankHeader(try exchange.message(of: 0))
        var sizes = JoinedSizes()
        for rank in 0..<joined.group.ranks {
            let message = try exchange.message(of: rank)
            let header = RankHeader(message)
            try header.check(rank, first, mostTokens: ModelShape.mostTokens)
            try RankHeader.checkParameters(
                rank, settings, message, exchange.message(of: 0), but: parameters.threads)
            sizes.formMaximum(header.sizes)
        }
        let start = try exchange.message(of: 0)
        let size = exchange.stride
        try layers.parts.set(joined.group.ranks) { RankHeader(start + $0 * size).part }
        return sizes
    }

    private func header(_ joined: JoinedPlan) -> RankHeader {
        var header = RankHeader()
        (header.part, header.version) = (joined.group.part, joined.group.version)
        (header.layers, header.heads) = (joined.model.layers, joined.model.heads)
        (header.group, header.headDim, header.scale) = (shape.group, shape.headDim, shape.scale)
        (header.method, header.round) = (Int(row.id), joined.round)
        (header.seen, header.new) = (current.length?.seen ?? 0, current.length?.new ?? 0)
        header.protected = protected.rows.count
        header.protectedBounds = protected.rows.fingerprint
        for layer in current.layers.indices {
            guard let scores = current.scores[layer] else { continue }
            header.sizes.formMaximum(JoinedSizes(of: scores, heads: shape.heads))
        }
        return header
    }

    // MARK: - Ready

    /// All memory of the rounds that follow, so that none of them fails on one rank alone.
    private func prepare(
        _ joined: JoinedPlan, _ caches: ExtendedCaches?, _ length: CacheLength, _ method: any Method,
        _ sizes: JoinedSizes, _ work: Workspace
    ) throws(KVSieveError) {
        let layers = joined.layers
        try next.copy(current)
        if decodingPool.layers.isEmpty { next.forgetSelections() }
        for layer in 0..<joined.model.layers {
            let frame = try method.frame(wholeLength(layer, caches, own: length), layer: layer)
            layers.append(frame, leader: method.scope.leader(of: layer))
        }
        for layer in 0..<shape.layers { layers.own.append(current.scores[layer]) }
        layers.rank(together: sizes.meanRows > 0)
        let makesMeans = exchangesMeans(layers, method, sizes)
        try layers.reserve(
            means: { makesMeans && isNeeded($0, method, layers.part) }, counted: method.scope == .model)
        try layers.reserveMarks(sizes.marks, work)
        if makesMeans { try layers.reserveMeans(sizes.meanFloats) }
        if sharing == .layers { try next.sum.reserve(layers.frames.reduce(0) { max($0, $1.rows) }, buckets: 0) }
        let parts = layers.parts
        try joined.exchange.reserve(8 * JoinedThreshold.mostBuckets)
        try joined.exchange.reserve(16 * max(parts.mostLayers, parts.mostHeads))
        try joined.exchange.reserve(choiceBytes(layers.parts))
        try joined.nextCaches.reserve(protected.rows)
        let entries = layers.own.lazy.map { $0?.entries ?? 0 }
        let ranked = method.scope == .model ? entries.reduce(0, +) : entries.max() ?? 0
        try work.head.logits.renew(LayerQuota.mostCollected(of: ranked, work) + 1)
        // What HeadQuota needs, which asks no other rank.
        try work.places.reserve(joined.model.heads)
        try work.caller.histogram.reserve(RankThreshold.histogramSize)
    }

    /// Are means made of rows, or needed, on other ranks than those that have the rows?
    private func exchangesMeans(_ layers: JoinedLayers, _ method: any Method, _ sizes: JoinedSizes) -> Bool {
        sizes.meanRows > 0 && (layers.parts.splitsHeads || areMeansForAll(method))
    }

    /// Does a layer's choice go by the scores of layers that are on other ranks?
    private func areMeansForAll(_ method: any Method) -> Bool {
        if case .group = method.scope { return true }
        return sharing == .layers
    }

    private func isNeeded(_ layer: Int, _ method: any Method, _ part: RankPart) -> Bool {
        areMeansForAll(method) || part.layerRange.contains(layer)
    }

    // MARK: - The choice

    private func choose(
        _ layers: JoinedLayers, _ caches: ExtendedCaches?, _ work: Workspace
    ) throws(KVSieveError) {
        if sharing == .layers {
            for layer in 0..<layers.layers where layers.rankings[layer] != .nothing {
                if let mean = layers.means[layers.leaders[layer]] { try next.sum.add(mean) }
            }
        }
        for index in 0..<shape.layers {
            let layer = layers.part.firstLayer + index
            if layers.rankings[layer] == .together { next.rank(index, by: layers.means[layers.leaders[layer]]) }
            try next.select(index, from: caches?.origins(index), work)
        }
    }

    private func choiceBytes(_ parts: RankParts) -> Int {
        4 * parts.mostLayers * parts.mostHeads * WholeCaches.numbers(protected.rows)
    }

    /// Every rank has chosen, or all throw. What all heads keep is known then.
    private func exchangeChoices(
        _ joined: JoinedPlan, _ failure: KVSieveError?, seen: Int
    ) throws(KVSieveError) {
        let (exchange, parts, protected) = (joined.exchange, joined.layers.parts, protected.rows)
        let numbers = WholeCaches.numbers(protected)
        let ofLayer = parts.mostHeads * numbers
        let message = try exchange.message(choiceBytes(parts)).assumingMemoryBound(to: Int32.self)
        for layer in next.layers.indices {
            guard let kept = next.layers[layer].selection else { continue }
            for head in 0..<shape.heads {
                WholeCaches.write(kept, head, protected, to: message + layer * ofLayer + head * numbers)
            }
        }
        try exchange.send(failure)
        try joined.nextCaches.set(protected, seen: seen) { (layer, head) throws(KVSieveError) in
            guard let rank = parts.rank(layer: layer, head: head) else { throw exchange.nonsense(nil) }
            let part = parts.all[rank]
            let told =
                try exchange.message(of: rank).assumingMemoryBound(to: Int32.self)
                + ((layer - part.firstLayer) * ofLayer + (head - part.firstHead) * numbers)
            let rows = Int(told[0])
            guard rows >= 1, rows <= joined.layers.frames[layer].of(head).rows else { throw exchange.nonsense(rank) }
            for index in 0..<protected.count {
                let first = Int(told[1 + index])
                guard first >= 0, first <= rows - protected.positions(index).count else {
                    throw exchange.nonsense(rank)
                }
            }
            return UnsafePointer(told)
        }
    }
}

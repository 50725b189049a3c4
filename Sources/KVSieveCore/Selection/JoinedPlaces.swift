// What a method asks of the rankings of all ranks when it divides the budget. Every rank asks the same, in the same order.

extension JoinedLayers {
    /// How many of the best `places` of all scores of the layers up to the newest are each layer's.
    func placesOfLayers(_ places: Int, newest: Int, _ work: Workspace) throws(KVSieveError) -> ReadOnlyBuffer<Int> {
        let won = try won.reserve(3 * max(layers, heads))
        let layers = 0..<(newest + 1)
        // A row that ranks all heads stands for each of them.
        let each = layers.contains { rankings[$0] == .byHead } ? 1 : heads
        let wanted = places / each
        var (entries, competing) = (0, 0)
        for layer in layers {
            let own = self.entries(layer)
            (entries, competing) = (entries + own.all, competing + own.competing)
        }
        if wanted > 0 && wanted < competing {
            let histogram = try histogramOfLayers(newest)
            let most = LayerQuota.mostCollected(of: layers.reduce(0) { $0 + (counted($1)?.entries ?? 0) }, work)
            var own = OwnRanking(
                .layers(self, layers), histogram: histogram, collected: try work.head.logits.renew(most + 1),
                most: most,
                counts: won + max(self.layers, heads))
            let threshold = try JoinedThreshold(
                places: wanted, of: entries, exchange, sums: counters.reserve(JoinedThreshold.mostBuckets), &own)
            try winners(threshold, own, wanted, layers: layers, into: won)
        } else {
            for layer in layers { won[layer] = wanted > 0 ? self.entries(layer).competing : 0 }
        }
        for layer in layers { won[layer] *= each }
        return ReadOnlyBuffer(UnsafePointer(won), layers.count)
    }

    private func winners(
        _ threshold: JoinedThreshold, _ own: OwnRanking, _ places: Int, layers: Range<Int>,
        into won: UnsafeMutablePointer<Int>
    ) throws(KVSieveError) {
        let message = try exchange.message(16 * parts.mostLayers).assumingMemoryBound(to: Int.self)
        for layer in layers where part.layerRange.contains(layer) {
            let place = message + 2 * (layer - part.firstLayer)
            (place[0], place[1]) = own.compare(layer, threshold.key)
        }
        try exchange.send()
        var equals = places - threshold.above
        for layer in layers {
            let most = entries(layer).all
            var (better, same) = (0, 0)
            try parts.forEachRank(ofLayer: layer) { (rank, part) throws(KVSieveError) in
                let counts = try exchange.counts(rank, layer - part.firstLayer, most: most)
                (better, same) = (better + counts.better, same + counts.same)
            }
            same = min(same, equals)
            equals -= same
            won[layer] = better + same
        }
        guard equals == 0 else { throw exchange.nonsense(nil) }
    }

    /// How many of the best `places` of all scores of a layer are each head's.
    func placesOfHeads(_ places: Int, layer: Int, _ work: Workspace) throws(KVSieveError) -> ReadOnlyBuffer<Int> {
        let won = try won.reserve(3 * max(layers, heads))
        // If each rank has all heads of its layers, what other layers' heads win is not asked for.
        if !parts.splitsHeads {
            won.update(repeating: 0, count: heads)
            return try counted(layer).map { (scores) throws(KVSieveError) in
                try HeadQuota.counts(scores, places: places, work)
            } ?? ReadOnlyBuffer(UnsafePointer(won), heads)
        }
        let entries = entries(layer)
        guard rankings[layer] == .byHead else {
            if rankings[layer] == .nothing { return ReadOnlyBuffer() }
            won[0] = min(max(places, 0), entries.competing)
            return ReadOnlyBuffer(UnsafePointer(won), 1)
        }
        let counts = ReadOnlyBuffer(UnsafePointer(won), heads)
        guard places > 0, places < entries.competing else {
            for head in 0..<heads { won[head] = places > 0 ? frames[layer].of(head).competing : 0 }
            return counts
        }
        let scores = counted(layer)
        let most = LayerQuota.mostCollected(of: scores?.entries ?? 0, work)
        var own = OwnRanking(
            .heads(scores), histogram: try histogram(of: scores), collected: try work.head.logits.renew(most + 1),
            most: most, counts: won + max(layers, heads))
        let threshold = try JoinedThreshold(
            places: places, of: entries.all, exchange, sums: counters.reserve(JoinedThreshold.mostBuckets), &own)
        let message = try exchange.message(16 * parts.mostHeads).assumingMemoryBound(to: Int.self)
        for head in 0..<(scores?.rows ?? 0) {
            (message[2 * head], message[2 * head + 1]) = own.compare(head, threshold.key)
        }
        try exchange.send()
        var equals = places - threshold.above
        try parts.forEachRank(ofLayer: layer) { (rank, part) throws(KVSieveError) in
            for head in 0..<part.heads {
                let counts = try exchange.counts(rank, head, most: entries.all)
                let same = min(counts.same, equals)
                equals -= same
                won[part.firstHead + head] = counts.better + same
            }
        }
        guard equals == 0 else { throw exchange.nonsense(nil) }
        return counts
    }

    /// Is a unit of the layer's first ranking among the best `count`? The rank that has the ranking says so.
    func isAmongBest(_ count: Int, unit: Int, layer: Int) throws(KVSieveError) -> Bool {
        guard rankings[layer] != .nothing, let owner = parts.rank(layer: layer, head: 0) else { return false }
        let message = try exchange.message(8).assumingMemoryBound(to: Int.self)
        if owner == exchange.group.rank, let row = counted(layer)?.row(0) {
            message[0] = RankedLayers.isAmongBest(count, unit: unit, of: row) ? 1 : 0
        }
        try exchange.send()
        return try exchange.message(of: owner).load(as: Int.self) == 1
    }
}

extension RankExchange {
    /// Two counts that a rank sent as the numbers `index`, each at most `most`.
    fileprivate func counts(_ rank: Int, _ index: Int, most: Int) throws(KVSieveError) -> (better: Int, same: Int) {
        let all = try message(of: rank).assumingMemoryBound(to: Int.self)
        let (better, same) = (all[2 * index], all[2 * index + 1])
        guard (0...most).contains(better), (0...most).contains(same) else { throw nonsense(rank) }
        return (better, same)
    }
}

// Which layers and heads of a model the ranks have. Parts are rectangles that cover the model once; ranks that share a layer have
// the same layers: a stage.

/// Numbers are those of the whole model.
struct RankPart: Sendable, Equatable {
    let firstLayer: Int
    let layers: Int
    let firstHead: Int
    let heads: Int

    var layerRange: Range<Int> { firstLayer..<(firstLayer + layers) }
    var headRange: Range<Int> { firstHead..<(firstHead + heads) }

    /// Do both have a layer and a head?
    func overlaps(_ other: RankPart) -> Bool {
        layerRange.overlaps(other.layerRange) && headRange.overlaps(other.headRange)
    }
}

/// The parts of all ranks, by rank.
struct RankParts {
    private(set) var all: [RankPart] = []
    /// Of the whole model.
    let layers: Int
    let heads: Int

    init(layers: Int, heads: Int, ranks: Int) {
        (self.layers, self.heads) = (layers, heads)
        all.reserveCapacity(ranks)
    }

    /// Replaces the parts. On failure there are none.
    mutating func set(_ count: Int, _ part: (_ rank: Int) -> RankPart) throws(KVSieveError) {
        all.removeAll(keepingCapacity: true)
        for rank in 0..<count { all.append(part(rank)) }
        do throws(KVSieveError) { try check() } catch {
            all.removeAll(keepingCapacity: true)
            throw error
        }
    }

    var mostLayers: Int { all.reduce(0) { max($0, $1.layers) } }
    var mostHeads: Int { all.reduce(0) { max($0, $1.heads) } }
    /// Is a layer on several ranks?
    var splitsHeads: Bool { all.contains { $0.heads < heads } }

    /// The rank that has a layer's head.
    func rank(layer: Int, head: Int) -> Int? {
        all.firstIndex { $0.layerRange.contains(layer) && $0.headRange.contains(head) }
    }

    /// The ranks that have a layer, in the order of their heads.
    func forEachRank(ofLayer layer: Int, _ body: (_ rank: Int, _ part: RankPart) throws(KVSieveError) -> Void)
        throws(KVSieveError)
    {
        var head = 0
        while head < heads, let rank = rank(layer: layer, head: head) {
            try body(rank, all[rank])
            head += all[rank].heads
        }
    }

    private func check() throws(KVSieveError) {
        for (rank, part) in all.enumerated() {
            for (earlier, other) in all[..<rank].enumerated() where part.layerRange.overlaps(other.layerRange) {
                guard !part.overlaps(other) else {
                    throw KVSieveError(
                        .shape,
                        "ranks \(earlier) and \(rank) both have layer \(max(part.firstLayer, other.firstLayer)), head"
                            + " \(max(part.firstHead, other.firstHead)); expected parts that do not overlap")
                }
                guard part.layerRange == other.layerRange else {
                    throw KVSieveError(
                        .shape,
                        "ranks \(earlier) and \(rank) share layers, and have \(other.layerRange) and \(part.layerRange);"
                            + " expected the same layers")
                }
            }
        }
        // No two overlap: there is no hole if they have as much as the model.
        guard all.reduce(0, { $0 + $1.layers * $1.heads }) != layers * heads else { return }
        for layer in 0..<layers {
            for head in 0..<heads where rank(layer: layer, head: head) == nil {
                throw KVSieveError(
                    .shape, "no rank has layer \(layer), head \(head); expected parts that cover the model")
            }
        }
    }
}

// The layers of a model that several ranks have, as all ranks know them when a sequence is finished: frames, by what the units of
// a layer are ranked, and the rankings that are here. Layers and heads have their numbers in the model.

final class JoinedLayers {
    /// By what the units of a layer are ranked: nothing competes, each head by itself, or all heads by one row.
    enum Ranking { case nothing, byHead, together }

    let exchange: RankExchange
    var parts: RankParts
    /// Of each layer.
    var frames: [Frame] = []
    /// The layer whose scores rank each layer.
    var leaders: [Int] = []
    var rankings: [Ranking] = []
    /// The scores of this rank's own layers.
    var own: [LayerScores?] = []
    /// The rows by which all heads of a layer are ranked: those of the own layers, and of all if a choice needs them.
    var means: [LayerScores?] = []
    /// Memory of means that were made here.
    var meanPool: [LayerScores] = []
    private let account: MemoryAccount
    /// Numbers that a method ranks heads by, (L, H); none if it has none.
    var marks: UnsafeMutablePointer<Float>?
    let markMemory: Buffer<Float>
    /// The rows of marks that ranks sent, of one layer.
    let vectors: TableMemory
    /// Places won, of layers or heads, and two counts of OwnRanking for each; counters of all ranks together.
    let won: Buffer<Int>
    let counters: Buffer<Int>
    /// The counts of LayerQuota's buckets, of this rank's numbers in the ranking that is asked for.
    private let histogram: Buffer<Int>
    /// How many layers are in it, if they are ranked together.
    private var layersInHistogram = 0

    init(_ exchange: RankExchange, _ account: MemoryAccount) {
        let group = exchange.group
        self.exchange = exchange
        self.account = account
        parts = RankParts(layers: group.layers, heads: group.heads, ranks: group.ranks)
        markMemory = Buffer(account)
        vectors = TableMemory(account)
        won = Buffer(account)
        counters = Buffer(account)
        histogram = Buffer(account)
        frames.reserveCapacity(group.layers)
        leaders.reserveCapacity(group.layers)
        rankings.reserveCapacity(group.layers)
        means.reserveCapacity(group.layers)
        own.reserveCapacity(group.part.layers)
        meanPool.reserveCapacity(group.layers)
    }

    var layers: Int { parts.layers }
    var heads: Int { parts.heads }
    /// This rank's.
    var part: RankPart { exchange.group.part }

    /// Forgets the sequence; the memory is kept.
    func clear() {
        frames.removeAll(keepingCapacity: true)
        leaders.removeAll(keepingCapacity: true)
        rankings.removeAll(keepingCapacity: true)
        own.removeAll(keepingCapacity: true)
        means.removeAll(keepingCapacity: true)
        for scores in meanPool { scores.forget() }
        marks = nil
        layersInHistogram = 0
    }

    /// What is known of a layer before any score is.
    func append(_ frame: Frame, leader: Int) {
        frames.append(frame)
        leaders.append(leader)
        means.append(nil)
    }

    /// All frames are there: do heads of a layer have one row together?
    func rank(together: Bool) {
        for layer in 0..<layers {
            let competes = frames[layer].units > 0 && frames[leaders[layer]].units > 0
            rankings.append(competes ? (together ? .together : .byHead) : .nothing)
        }
    }

    /// Where no row of another rank is needed, the means are those that this rank has made.
    func takeOwnMeans() {
        for (index, scores) in own.enumerated() { means[part.firstLayer + index] = scores }
    }

    /// Does the layer make a score of its own?
    func scores(_ layer: Int) -> Bool { leaders[layer] == layer && frames[layer].units > 0 }

    /// Room for what is won, and for a mean of each layer that one is made for.
    func reserve(means isMade: (_ layer: Int) -> Bool, counted: Bool) throws(KVSieveError) {
        try won.reserve(3 * max(layers, heads))
        try histogram.reserve(LayerQuota.buckets)
        try counters.reserve(JoinedThreshold.mostBuckets)
        var made = 0
        for layer in 0..<layers where scores(layer) && isMade(layer) {
            if made == meanPool.count { meanPool.append(LayerScores(account)) }
            try meanPool[made].reserve(frames[layer].rows, buckets: counted ? LayerQuota.buckets : 0)
            made += 1
        }
        guard counted else { return }
        for scores in own { if let scores { _ = try scores.histogram(LayerQuota.buckets, LayerQuota.bucket) } }
    }

    /// Numbers in the rankings of a layer: all, and those that compete.
    func entries(_ layer: Int) -> (all: Int, competing: Int) {
        switch rankings[layer] {
        case .nothing: return (0, 0)
        case .together: return (frames[layer].units, frames[layer].competing)
        case .byHead:
            var (all, competing) = (0, 0)
            for head in 0..<heads {
                let own = frames[layer].of(head)
                (all, competing) = (all + own.units, competing + own.competing)
            }
            return (all, competing)
        }
    }

    /// The rankings of a layer that this rank counts: every one is counted by one rank.
    func counted(_ layer: Int) -> LayerScores? {
        guard part.layerRange.contains(layer) else { return nil }
        switch rankings[layer] {
        case .nothing: return nil
        case .byHead: return own[layer - part.firstLayer]
        case .together: return part.firstHead == 0 ? means[leaders[layer]] : nil
        }
    }

    /// This rank's numbers of the layers up to the newest. Those that were asked for before are in it already.
    func histogramOfLayers(_ newest: Int) throws(KVSieveError) -> UnsafeMutablePointer<Int> {
        let all = try histogram.reserve(LayerQuota.buckets)
        if layersInHistogram == 0 || layersInHistogram > newest + 1 {
            all.update(repeating: 0, count: LayerQuota.buckets)
            layersInHistogram = 0
        }
        for layer in layersInHistogram..<(newest + 1) {
            guard let scores = counted(layer) else { continue }
            let own = try scores.histogram(LayerQuota.buckets, LayerQuota.bucket)
            for bucket in 0..<LayerQuota.buckets { all[bucket] &+= own[bucket] }
        }
        layersInHistogram = newest + 1
        return all
    }

    /// Those of one layer.
    func histogram(of scores: LayerScores?) throws(KVSieveError) -> UnsafeMutablePointer<Int> {
        let all = try histogram.reserve(LayerQuota.buckets)
        layersInHistogram = 0
        all.update(repeating: 0, count: LayerQuota.buckets)
        scores?.forEachRow { row in
            guard let start = row.baseAddress else { return }
            for j in 0..<row.count { all[LayerQuota.bucket(start[j])] &+= 1 }
        }
        return all
    }

    /// The numbers by which a method ranks the heads of a layer.
    func marks(of layer: Int) -> ReadOnlyBuffer<Float> {
        guard let marks, rankings[layer] != .nothing else { return ReadOnlyBuffer() }
        return ReadOnlyBuffer(marks + layer * heads, heads)
    }
}

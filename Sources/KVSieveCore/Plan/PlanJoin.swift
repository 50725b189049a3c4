// A plan that has a part of a model, of which other ranks have the rest: what it knows of the whole, by the model's numbers.

final class JoinedPlan {
    let group: RankGroup
    /// The whole model.
    let model: ModelShape
    let layers: JoinedLayers
    /// What every head keeps since the last finish; and where the next finish writes it, as frames still read the former.
    private(set) var caches: WholeCaches
    private(set) var nextCaches: WholeCaches
    /// Rounds of the sequence so far.
    private(set) var round = 0

    var exchange: RankExchange { layers.exchange }

    fileprivate init(_ group: RankGroup, _ shape: ModelShape, _ account: MemoryAccount) throws(KVSieveError) {
        self.group = group
        model = try ModelShape(
            layers: group.layers, queryHeads: group.heads * shape.group, heads: group.heads, headDim: shape.headDim,
            scale: shape.scale)
        layers = JoinedLayers(RankExchange(group, account), account)
        caches = WholeCaches(layers: group.layers, heads: group.heads, account)
        nextCaches = WholeCaches(layers: group.layers, heads: group.heads, account)
        // The first round needs this much: then a rank can always say why it cannot go on.
        try layers.exchange.reserve(RankHeader.bytes)
    }

    /// All ranks have finished a round.
    func endRound() {
        swap(&caches, &nextCaches)
        round += 1
    }

    /// The sequence is over.
    func forget() {
        round = 0
        caches.clear()
        nextCaches.clear()
    }
}

extension Plan {
    /// This plan has a part of a model; called before the first layer is observed.
    public func join(_ group: RankGroup) throws(KVSieveError) {
        guard case .prefill(nil) = phase, current.layers.isEmpty, chunks.isEmpty else {
            throw KVSieveError(.state, "join came after the first observe or queries; join before them, or reset")
        }
        let joined = try JoinedPlan(group, shape, account)
        self.joined = joined
        current.budgets.first = first
        next.budgets.first = first
        forgetMethod()
    }

    /// The model of which this plan has a part, or all.
    public var model: ModelShape { joined?.model ?? shape }
    /// The numbers that the first layer and head have in it.
    var first: (layer: Int, head: Int) {
        joined.map { ($0.group.part.firstLayer, $0.group.part.firstHead) } ?? (0, 0)
    }
    /// Is a call made from the plan's own all_gather?
    public var isInCollective: Bool { joined?.layers.exchange.isSending ?? false }

    /// Do other ranks have heads of this plan's layers?
    var splitsHeads: Bool { joined.map { shape.heads < $0.model.heads } ?? false }

    /// Is a layer of this plan ranked by its own scores?
    func leads(_ method: any Method, _ layer: Int) -> Bool {
        method.scope.leader(of: first.layer + layer) == first.layer + layer
    }

    /// What a layer of this plan reads; nil for one that is ranked by an earlier one's scores. The first layer tells how long the
    /// sequence is, if its leader is on another rank.
    func reads(_ method: any Method, _ layer: Int) -> Reads? {
        method.reads(layer: first.layer + layer) ?? (layer == 0 ? .nothing : nil)
    }

    /// How long the caches of a layer of the model are, with the protected tokens.
    /// - Parameter own: those of this plan's heads, of any layer of a prompt.
    func wholeLength(
        _ layer: Int, _ caches: ExtendedCaches?, own: CacheLength
    ) throws(KVSieveError) -> CacheLength {
        guard joined != nil, let caches else { return own }
        return try caches.wholeLength(layer, protected.rows) ?? own
    }

    /// Refuses a rule by which heads on several ranks would choose together at every step.
    func checkApart(_ rule: DecodeRule) throws(KVSieveError) {
        guard rule.together else { return }
        throw KVSieveError(
            .parameter,
            "decoding is 1 and heads of a layer are on several ranks: heads of \(row.name) choose together at every step;"
                + " expected decoding 0, or ranks that have all heads of their layers")
    }

    /// Refuses mass for heads that choose together, if their attention is not here.
    func checkMassApart(_ isElsewhere: Bool) throws(KVSieveError) {
        guard joined != nil, isElsewhere else { return }
        throw KVSieveError(
            .parameter,
            "mass is \(settings[parameters.mass]) and heads or layers on several ranks make one choice: what it needs is not"
                + " known to one rank; expected mass 0")
    }
}

// One sequence under one method: prefill -> finished (-> prefill again if the sequence goes on) or decoding. A plan is the only
// object with phases. Every call prepares its result beside the plan's state, and replaces the state at the end: a call that
// throws changes nothing.

import CSupport

/// The phase of a sequence, with the state that only this phase has.
enum Phase {
    /// Layers are observed: of a prompt, or of the caches after an earlier choice.
    case prefill(ExtendedCaches?)
    /// The choice is final.
    case finished
    /// The choice is final, and the plan takes tokens by steps.
    case decoding(DecodingSequence)
}

public final class Plan {
    public let row: MethodRow
    public let shape: ModelShape
    private let type: any Method.Type
    let parameters: PlanParameters
    let account: MemoryAccount
    private(set) var settings: Settings
    private var work: Workspace?
    /// Made from the settings by the first observe of a sequence.
    private var method: (any Method)?
    /// The rule for decoding after a prompt of that length, protected tokens aside; nil if the plan does not decode.
    private var rule: (length: CacheLength, rule: DecodeRule)?
    var phase = Phase.prefill(nil)
    /// The layers so far, and the same as they will be when the call that works on them has succeeded.
    var current: PrefillState
    var next: PrefillState
    private let scorePool: ScorePool
    let decodingPool: DecodingPool
    let rangePool: RangePool
    var protected: ProtectedTokens
    let masses: MassRecord
    let chunks: QueryChunks
    /// The other ranks, if this plan has a part of a model.
    var joined: JoinedPlan?
    let lock: OpaquePointer

    public init(
        _ type: any Method.Type, _ shape: ModelShape, _ parameters: PlanParameters,
        account: MemoryAccount = MemoryAccount()
    ) throws(KVSieveError) {
        guard let lock = support_lock_create() else { throw KVSieveError(.memory, "out of memory: no room for a plan") }
        self.lock = lock
        self.type = type
        row = type.row
        self.shape = shape
        self.parameters = parameters
        self.account = account
        settings = Settings(row.parameters)
        current = PrefillState(shape, account)
        next = PrefillState(shape, account)
        scorePool = ScorePool(shape, account)
        decodingPool = DecodingPool(shape, account)
        rangePool = RangePool(shape, account)
        protected = ProtectedTokens(account)
        masses = MassRecord(shape, account)
        chunks = QueryChunks(shape, account)
    }

    deinit { support_lock_destroy(lock) }

    // MARK: - Parameters

    public func set(_ parameter: Int32, _ value: Double) throws(KVSieveError) {
        guard case .prefill(nil) = phase, current.layers.isEmpty, chunks.isEmpty else {
            throw KVSieveError(
                .state,
                "\(parameters.name(parameter)) was set after the first observe or queries; set parameters before them, or reset"
            )
        }
        try settings.set(parameter, value, of: row.name, parameters.missing)
        forgetMethod()
    }

    /// It is made again when it is needed.
    func forgetMethod() {
        method = nil
        rule = nil
    }

    public func get(_ parameter: Int32) throws(KVSieveError) -> Double {
        try settings.get(parameter, of: row.name, parameters.missing)
    }

    var sharing: Sharing { Sharing(rawValue: settings.int(parameters.share)) ?? .none }
    var alignment: Alignment { Alignment(rawValue: settings.int(parameters.align)) ?? .begin }

    public func needs(layer: Int) throws(KVSieveError) -> Needs {
        try checkLayer(layer)
        return try reads(currentMethod(), layer)?.needs ?? []
    }

    // MARK: - Prefill

    /// - Parameter read: what the caller brings of what the layer needs; see LayerView.
    public func observe(
        layer: Int, _ read: (_ needs: Needs) throws(KVSieveError) -> LayerTensors
    ) throws(KVSieveError) {
        try checkLayer(layer)
        let caches = try checkTurn(layer)
        let method = try currentMethod()
        let reads = reads(method, layer)
        let tensors = try chunks.with(
            read(reads?.needs ?? []), layer: layer, window: reads?.window, new: caches?.length(layer).new)
        let view = try LayerView(
            shape, layer: layer, length: caches?.length(layer) ?? current.length, reads: reads, tensors,
            caches: model.layers * model.heads, coarse: settings.int(parameters.coarse) == 1)
        let length = try protected.checked(view.length, caches?.origins(layer))
        let whole = try method.frame(wholeLength(first.layer + layer, caches, own: length), layer: first.layer + layer)
        let frame = joined == nil || caches == nil ? whole : whole.of(length)
        let competes = whole.units > 0
        let rule = try currentRule(method, length)
        let work = currentWorkspace()
        work.beginLayer(splitsHeads: splitsHeads)
        let scores = competes && leads(method, layer) ? scorePool.next() : nil
        let observed = try Layer(
            view, frame, work, scores: scores?.memory ?? work.unscored, origins: caches?.origins(layer),
            remembered: massMemory(frame, reads, competes: competes), first: first, decodes: rule != nil)
        try next.copy(current)
        defer { next.clear() }
        let ranking = try competes ? rank(observed, method, scores) : nil
        next.append(frame, ranking)
        if sharing == .layers, joined == nil, let ranking { try next.sum.add(ranking) }
        if competes {
            // If the plan has joined others, budgets are divided by finish(); while decoding a layer is by itself.
            if joined == nil || rule != nil {
                let ranked = RankedLayers(
                    layers: next.scores, work: work, frame: whole, heads: shape.heads, newest: first.layer + layer)
                try method.budgets(ranked, into: next.budgets)
            }
            try shrinkToMass(next, observed, leader: method.scope.leader(of: first.layer + layer) - first.layer)
            next.forgetSelections(since: current)
        }
        // If a layer's scores are freed now, its choice is made now. Other choices are made when they are asked for, or at the end.
        let remembered = joined == nil ? method.scope.firstRemembered(after: layer) : 0
        let final = sharing == .layers ? 0 : min(remembered, layer + 1)
        for index in 0..<final {
            try next.select(index, from: caches?.origins(index), work)
        }
        if layer == 0 { try prepare(method, caches, work, observed.remembered) }
        if let rule {
            let begun = try decodingPool.next(rule)
            let selection = try next.select(layer, from: caches?.origins(layer), work)
            try begun.begin(PromptEvidence(layer: observed, selection: selection, rule: rule))
            decodingPool.keep(begun)
        }
        self.method = method
        self.rule = rule.map { (length.with(ProtectedRows()), $0) }
        self.work = work
        swap(&current, &next)
        rangePool.clear()
        chunks.forget(layer)
        scorePool.take(ranking)
        remember(observed, reads, final: final)
        forget(before: remembered)
    }

    /// The caches that the next layer is observed in; nil for a prompt.
    private func checkTurn(_ layer: Int) throws(KVSieveError) -> ExtendedCaches? {
        guard case .prefill(let caches) = phase else {
            throw KVSieveError(
                .state,
                "layer \(layer) was observed after finish; extend goes on with the sequence, reset begins the next")
        }
        let count = current.layers.count
        guard layer == count else {
            throw KVSieveError(
                .state,
                layer < count
                    ? "layer \(layer) was observed twice; layers are observed once, in order"
                    : "layer \(layer) was observed before layer \(count); layers are observed in order")
        }
        return caches
    }

    /// The scores by which the layer's units are ranked: its leader's, its own, or nil if nothing is scored, or another rank
    /// may have done it.
    private func rank(
        _ layer: Layer, _ method: any Method, _ scores: LayerScores?
    ) throws(KVSieveError) -> LayerScores? {
        guard let scores else { return joined == nil ? next.scores[method.scope.leader(of: layer.index)] : nil }
        guard let table = try method.score(layer) else { return nil }
        let ranked = sharing == .none ? table : table.meanOfRows()
        if ranked.awaitsMean {
            try scores.take(ranked)
            return scores
        }
        try scores.take(layer.frame.unit > 1 ? ranked.windows(.mean) : ranked)
        scores.setApartProtected()
        return scores
    }

    /// Room for later layers, as if all were like the first: then observe does not allocate again.
    private func prepare(
        _ method: any Method, _ caches: ExtendedCaches?, _ work: Workspace, _ sums: TableMemory?
    ) throws(KVSieveError) {
        try current.budgets.reserve()
        if next.sum.table != nil { try current.sum.prepare(like: next.sum) }
        let scope = method.scope
        if scope.firstRemembered(after: shape.layers - 1) > 0 && sharing != .layers && joined == nil {
            // A token more or less a head: shares are rounded down.
            let words = try next.select(0, from: caches?.origins(0), work).words + shape.heads
            try work.selections.prepare(shape.layers - 1, words)
        }
        guard let scores = next.scores[0] else { return }
        // Layers whose scores are remembered at once, the one that is scored among them.
        var remembered = 1
        for layer in 0..<shape.layers {
            let begin = joined == nil ? min(scope.firstRemembered(after: layer), layer) : 0
            remembered = max(remembered, (begin...layer).count { leads(method, $0) })
        }
        if scope == .model && joined == nil { try LayerQuota.prepare(scores, layers: remembered, work) }
        try scorePool.prepare(remembered, like: scores)
        if let sums { try masses.prepare(sharing == .layers ? shape.layers : remembered, like: sums) }
    }

    /// Frees scores that no later call reads.
    func forget(before first: Int) {
        for layer in 0..<min(first, current.layers.count) {
            guard let scores = current.scores[layer] else { continue }
            current.dropScores(layer)
            scorePool.give(scores, unlessIn: current.scores)
        }
    }

    // MARK: - What the calls share

    func currentMethod() throws(KVSieveError) -> any Method {
        if let method { return method }
        try checkMass()
        return try type.init(settings, model)
    }

    func currentRule(_ method: any Method, _ length: CacheLength) throws(KVSieveError) -> DecodeRule? {
        guard settings.int(parameters.decoding) == 1 else { return nil }
        if let rule, rule.length == length.with(ProtectedRows()), rule.rule.suits(length) { return rule.rule }
        let made = try rule(of: method, length)
        if splitsHeads, let made { try checkApart(made) }
        return made
    }

    private func rule(of method: any Method, _ length: CacheLength) throws(KVSieveError) -> DecodeRule? {
        try sharing.rule(method.decoding(length), of: row.name, block: settings.int(parameters.block))
    }

    public var threads: Int { settings.int(parameters.threads) }

    func currentWorkspace() -> Workspace {
        if let work, work.threads == threads { return work }
        return Workspace(threads: threads, account: account)
    }

    /// For a method that decodes: does this plan remember what it needs?
    var decodes: Bool { row.parameters.contains { $0.id == parameters.decoding.id } }
}

// One sequence on its way through one method: created -> observing -> finished -> (reset). The only thing that has a life.
// Every call prepares its result beside the plan's state and takes it over at the end: a call that throws changes nothing.

import CSupport

/// Parameters that the plan itself looks at, whatever the method.
public struct PlanParameters: Sendable {
    let threads: Parameter
    let decoding: Parameter

    public init(threads: Parameter, decoding: Parameter) {
        self.threads = threads
        self.decoding = decoding
    }
}

public final class Plan {
    public let row: MethodRow
    public let shape: ModelShape
    private let parameters: PlanParameters
    private let account: MemoryAccount
    private var settings: Settings
    private(set) var work: Workspace?
    /// Made from the settings by the first observe of a sequence; and how it decodes, if it is to.
    private var method: (any Method)?
    private var decodeRule: DecodeRule?
    /// Of the first layer; nil before it.
    private var length: CacheLength?
    /// What the sequence goes on from, once it was extended.
    private var continuation: Continuation?
    /// The layers so far, and the same as they will be when the call that works on them has succeeded.
    private var observed: Observations
    private var draft: Observations
    private(set) var finished = false
    /// Layers of a sequence that will be decoded, each made when its selection was; and the sequence once it is finished.
    private var decodingLayers: [DecodingLayer] = []
    private var spareDecoding: [DecodingLayer] = []
    private(set) var decoding: DecodingSequence?
    /// Score memory that is free to be used again.
    private var spare: [LayerScores] = []
    private let lock: OpaquePointer

    public init(
        _ row: MethodRow, _ shape: ModelShape, _ parameters: PlanParameters, account: MemoryAccount = MemoryAccount()
    ) throws(KVSieveError) {
        guard let lock = support_lock_create() else { throw KVSieveError(.memory, "out of memory: no room for a plan") }
        self.lock = lock
        self.row = row
        self.shape = shape
        self.parameters = parameters
        self.account = account
        settings = Settings(row.parameters)
        observed = Observations(shape, account)
        draft = Observations(shape, account)
        spare.reserveCapacity(shape.layers)
    }

    deinit { support_lock_destroy(lock) }

    public func set(_ parameter: Int32, _ value: Double) throws(KVSieveError) {
        guard observed.layers.isEmpty, continuation == nil else {
            throw KVSieveError(
                .state, "parameter \(parameter) was set after the first observe; set parameters before it, or reset")
        }
        try settings.set(parameter, value, of: row.name)
        method = nil
        decodeRule = nil
    }

    public func get(_ parameter: Int32) throws(KVSieveError) -> Double {
        try settings.get(parameter, of: row.name)
    }

    public func needs(layer: Int) throws(KVSieveError) -> Needs {
        try checkLayer(layer)
        return try currentMethod().needs(layer: layer)
    }

    /// Tensors that the layer does not need are not looked at; see LayerView.
    public func observe(
        layer: Int, queries: () throws(KVSieveError) -> TensorView?, keys: () throws(KVSieveError) -> TensorView?,
        values: () throws(KVSieveError) -> TensorView?
    ) throws(KVSieveError) {
        try checkLayer(layer)
        guard !finished, layer == observed.layers.count else {
            throw KVSieveError(
                .state,
                finished
                    ? "layer \(layer) was observed after finish; extend goes on with the sequence, reset begins the next"
                    : layer < observed.layers.count
                        ? "layer \(layer) was observed twice; layers are observed once, in order"
                        : "layer \(layer) was observed before layer \(observed.layers.count); layers are observed in order"
            )
        }
        let method = try currentMethod()
        let needs = method.needs(layer: layer)
        let view = try LayerView(
            shape, layer: layer, length: continuation?.length(layer) ?? length, window: method.window, needs: needs,
            queries: needs.contains(.queries) ? try queries() : nil,
            keys: needs.contains(.keys) ? try keys() : nil,
            values: needs.contains(.values) ? try values() : nil)
        let frame = try method.frame(view.length, layer: layer)
        let work = currentWorkspace()
        work.statistics = nil
        let layerScores = try scores(method, view, frame, work)
        try draft.copy(observed)
        defer { draft.clear() }
        draft.append(frame, layerScores)
        if frame.units > 0 {
            try method.budgets(after: layer, frame, draft.scores, work, into: draft.budgets)
            draft.forgetSelections(since: observed)
        }
        // Layers whose scores go now are chosen now; the others when they are asked for, or at the end.
        let remembered = method.firstRemembered(after: layer)
        for index in 0..<min(remembered, layer + 1) {
            try draft.select(index, from: continuation?.origin(index), work)
        }
        if layer == 0 { try prepare(method, work) }
        let rule = currentDecodeRule(method)
        if let rule {
            let seeded = try decodingLayer(rule, work)
            try seeded.seed(view, draft.select(layer, from: continuation?.origin(layer), work), work)
            decodingLayers.append(seeded)
            spareDecoding.removeAll { $0 === seeded }
        }
        self.method = method
        self.work = work
        decodeRule = rule
        length = view.length
        swap(&observed, &draft)
        spare.removeAll { $0 === layerScores }
        forget(before: remembered)
    }

    public func finish() throws(KVSieveError) {
        guard !finished else { throw KVSieveError(.state, "the plan is finished already") }
        guard observed.layers.count == shape.layers else {
            throw KVSieveError(
                .state,
                "\(observed.layers.count) of \(shape.layers) layers were observed; finish comes after the last")
        }
        for layer in 0..<shape.layers {
            try observed.select(layer, from: continuation?.origin(layer), currentWorkspace())
        }
        forget(before: shape.layers)
        if let length, !decodingLayers.isEmpty { decoding = DecodingSequence(decodingLayers, tokens: length.seen) }
        continuation = nil
        finished = true
    }

    /// The sequence goes on: `tokens` new ones stand behind the rows that each layer kept. Every layer is observed again.
    public func extend(_ tokens: Int) throws(KVSieveError) {
        guard finished, let length else { throw KVSieveError(.state, "extend came before finish") }
        guard decoding == nil else {
            throw KVSieveError(.state, "extend: this plan decodes; it takes new tokens by step")
        }
        var kept: [Selection] = []
        for layer in 0..<shape.layers { try kept.append(self.kept(layer: layer)) }
        let longest = kept.reduce(0) { max($0, $1.longest) }
        let most = min(ModelShape.mostTokens - longest, Int(Int32.max) - length.seen)
        guard tokens >= 1, tokens <= most else {
            throw KVSieveError(.shape, "tokens is \(tokens); expected 1 ... \(most)")
        }
        continuation = Continuation(kept, seen: length.seen, new: tokens)
        observed.clear()
        finished = false
    }

    /// Ready for the next sequence; parameters and memory stay.
    public func reset() {
        forget(before: shape.layers)
        observed.clear()
        decoding = nil
        spareDecoding.append(contentsOf: decodingLayers)
        decodingLayers.removeAll(keepingCapacity: true)
        length = nil
        continuation = nil
        finished = false
    }

    /// What an observed layer keeps: may still shrink before finish.
    public func kept(layer: Int) throws(KVSieveError) -> Selection {
        try checkLayer(layer)
        // The first to ask for a layer whose budget changed makes its selection; calls beside it wait.
        support_lock(lock)
        defer { support_unlock(lock) }
        guard layer < observed.layers.count else {
            throw KVSieveError(.state, "layer \(layer) was not observed yet; \(observed.layers.count) layers were")
        }
        return try observed.select(layer, from: continuation?.origin(layer), currentWorkspace())
    }

    public func gather(layer: Int, source: TensorView, target: TensorView) throws(KVSieveError) {
        try checkLayer(layer)
        guard finished else { throw KVSieveError(.state, "gather of layer \(layer) came before finish") }
        try Gather.rows(of: source, by: kept(layer: layer), to: target)
    }

    // MARK: - What a sequence that decodes begins with

    private func currentDecodeRule(_ method: any Method) -> DecodeRule? {
        guard settings.int(parameters.decoding) == 1 else { return nil }
        return decodeRule ?? method.decodeRule
    }

    /// Memory of an earlier sequence where its rule asks for the same.
    private func decodingLayer(_ rule: DecodeRule, _ work: Workspace) throws(KVSieveError) -> DecodingLayer {
        if let spare = spareDecoding.last(where: { $0.suits(rule) }) {
            try spare.clear(rule)
            return spare
        }
        spareDecoding.removeAll(keepingCapacity: true)
        return try DecodingLayer(rule, heads: shape.heads, work.account)
    }

    // MARK: - Stages of observe

    func checkLayer(_ layer: Int) throws(KVSieveError) {
        guard (0..<shape.layers).contains(layer) else {
            throw KVSieveError(.shape, "layer is \(layer); expected 0 ... \(shape.layers - 1)")
        }
    }

    private func currentMethod() throws(KVSieveError) -> any Method {
        if let method { return method }
        return try row.make(settings, shape)
    }

    func currentWorkspace() -> Workspace {
        let threads = settings.int(parameters.threads)
        if let work, work.threads == threads { return work }
        return Workspace(threads: threads, account: account)
    }

    /// Scores of the layer: its leader's, or its own in memory that no layer uses.
    private func scores(
        _ method: any Method, _ view: LayerView, _ frame: Frame, _ work: Workspace
    ) throws(KVSieveError) -> LayerScores? {
        guard frame.units > 0 else { return nil }
        let leader = method.leader(of: view.layer)
        if leader != view.layer { return observed.scores.layers[leader] }
        let scores = spare.last ?? LayerScores(account)
        if spare.isEmpty { spare.append(scores) }
        try method.score(view, frame, work, into: scores)
        return scores
    }

    /// Room for the layers to come, as if all were like the first: observe allocates nothing more then.
    private func prepare(_ method: any Method, _ work: Workspace) throws(KVSieveError) {
        try observed.budgets.reserve()
        if method.firstRemembered(after: shape.layers - 1) > 0 {
            // A token more or less a head: shares are rounded down.
            let words = try draft.select(0, from: continuation?.origin(0), work).words + shape.heads
            try work.results.prepare(shape.layers - 1, words)
        }
        guard let scores = draft.scores.layers[0] else { return }
        // Layers whose scores are remembered at once, the one that is scored among them.
        var remembered = 1
        for layer in 0..<shape.layers {
            let first = min(method.firstRemembered(after: layer), layer)
            remembered = max(remembered, (first...layer).count { method.leader(of: $0) == $0 })
        }
        if remembered > 1 { try RankShare.prepare(scores, layers: remembered, work) }
        while spare.count < remembered {
            let more = LayerScores(account)
            try more.prepare(like: scores)
            spare.append(more)
        }
    }

    /// Lets go of scores that nobody will look at again. A follower shares its leader's memory: that is freed once.
    private func forget(before first: Int) {
        for layer in 0..<min(first, observed.layers.count) {
            guard let scores = observed.scores.layers[layer] else { continue }
            observed.dropScores(layer)
            let shared = observed.scores.layers.contains { $0 === scores } || spare.contains { $0 === scores }
            if !shared { spare.append(scores) }
        }
    }
}

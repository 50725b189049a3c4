// One sequence on its way through one method: created -> observing -> finished -> (reset). The only thing that has a life.
// Every call prepares its result beside the plan's state and takes it over at the end: a call that throws changes nothing.

import CSupport

public final class Plan {
    public let row: MethodRow
    public let shape: ModelShape
    private let threadsParameter: Parameter
    private let account: MemoryAccount
    private var settings: Settings
    private var work: Workspace?
    /// Made from the settings by the first observe of a sequence.
    private var method: (any Method)?
    private var tokens: Int?
    private var table: ScoreTable
    private var layers: [PlannedLayer] = []
    private var finished = false
    /// Score memory that is free to be used again.
    private var spare: [LayerScores] = []
    private let lock: OpaquePointer

    public init(
        _ row: MethodRow, _ shape: ModelShape, threads: Parameter, account: MemoryAccount = MemoryAccount()
    ) throws(KVSieveError) {
        guard let lock = support_lock_create() else { throw KVSieveError(.memory, "out of memory: no room for a plan") }
        self.lock = lock
        self.row = row
        self.shape = shape
        threadsParameter = threads
        self.account = account
        settings = Settings(row.parameters)
        table = ScoreTable(shape: shape)
    }

    deinit { support_lock_destroy(lock) }

    public func set(_ parameter: Int32, _ value: Double) throws(KVSieveError) {
        guard layers.isEmpty else {
            throw KVSieveError(
                .state, "parameter \(parameter) was set after the first observe; set parameters before it, or reset")
        }
        try settings.set(parameter, value, of: row.name)
        method = nil
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
        guard !finished, layer == layers.count else {
            throw KVSieveError(
                .state,
                finished
                    ? "layer \(layer) was observed after finish; reset begins the next sequence"
                    : layer < layers.count
                        ? "layer \(layer) was observed twice; layers are observed once, in order"
                        : "layer \(layer) was observed before layer \(layers.count); layers are observed in order")
        }
        let method = try currentMethod()
        let needs = method.needs(layer: layer)
        let view = try LayerView(
            shape, layer: layer, tokens: tokens, window: method.window, needs: needs,
            queries: needs.contains(.queries) ? try queries() : nil,
            keys: needs.contains(.keys) ? try keys() : nil,
            values: needs.contains(.values) ? try values() : nil)
        let frame = try method.frame(tokens: view.tokens, layer: layer)
        let work = currentWorkspace()
        var next = table
        try next.layers.append(scores(method, view, frame, work))
        var planned = layers
        planned.append(PlannedLayer(frame, heads: shape.heads))
        if frame.units > 0 {
            let update = try method.budgets(after: layer, frame, next, work)
            for (index, units) in update.units.enumerated() where update.first + index <= layer {
                planned[update.first + index].shrink(to: units)
            }
        }
        // Layers whose scores go now are chosen now; the others when they are asked for, or at the end.
        let remembered = method.firstRemembered(after: layer)
        for index in planned.indices where index < remembered {
            try planned[index].select(next.layers[index], work)
        }
        forget(before: remembered, &next)
        self.method = method
        self.work = work
        tokens = view.tokens
        table = next
        layers = planned
    }

    public func finish() throws(KVSieveError) {
        guard !finished else { throw KVSieveError(.state, "the plan is finished already") }
        guard layers.count == shape.layers else {
            throw KVSieveError(
                .state, "\(layers.count) of \(shape.layers) layers were observed; finish comes after the last")
        }
        var planned = layers
        for index in planned.indices { try planned[index].select(table.layers[index], currentWorkspace()) }
        layers = planned
        forget(before: shape.layers, &table)
        finished = true
    }

    /// Ready for the next sequence; parameters and memory stay.
    public func reset() {
        forget(before: shape.layers, &table)
        table.layers = []
        layers = []
        tokens = nil
        finished = false
    }

    /// What an observed layer keeps: may still shrink before finish.
    public func kept(layer: Int) throws(KVSieveError) -> Selection {
        try checkLayer(layer)
        // The first to ask for a layer whose budget changed makes its selection; calls beside it wait.
        support_lock(lock)
        defer { support_unlock(lock) }
        guard layer < layers.count else {
            throw KVSieveError(.state, "layer \(layer) was not observed yet; \(layers.count) layers were")
        }
        return try layers[layer].select(table.layers[layer], currentWorkspace())
    }

    public func gather(layer: Int, source: TensorView, target: TensorView) throws(KVSieveError) {
        try checkLayer(layer)
        guard finished else { throw KVSieveError(.state, "gather of layer \(layer) came before finish") }
        try Gather.rows(of: source, by: kept(layer: layer), to: target)
    }

    // MARK: - Stages of observe

    private func checkLayer(_ layer: Int) throws(KVSieveError) {
        guard (0..<shape.layers).contains(layer) else {
            throw KVSieveError(.shape, "layer is \(layer); expected 0 ... \(shape.layers - 1)")
        }
    }

    private func currentMethod() throws(KVSieveError) -> any Method {
        if let method { return method }
        return try row.make(settings, shape)
    }

    private func currentWorkspace() -> Workspace {
        let threads = settings.int(threadsParameter)
        if let work, work.threads == threads { return work }
        return Workspace(threads: threads, account: account)
    }

    /// Scores of the layer: its leader's, or its own in memory that no layer uses.
    private func scores(
        _ method: any Method, _ view: LayerView, _ frame: Frame, _ work: Workspace
    ) throws(KVSieveError) -> LayerScores? {
        guard frame.units > 0 else { return nil }
        let leader = method.leader(of: view.layer)
        if leader != view.layer { return table.layers[leader] }
        let scores = spare.last ?? LayerScores(account)
        if spare.isEmpty { spare.append(scores) }
        try method.score(view, frame, work, into: scores)
        spare.removeLast()
        return scores
    }

    /// Lets go of scores that nobody will look at again. A follower shares its leader's memory: that is freed once.
    private func forget(before first: Int, _ table: inout ScoreTable) {
        for layer in 0..<min(first, table.layers.count) {
            guard let scores = table.layers[layer] else { continue }
            table.layers[layer] = nil
            let shared = table.layers.contains { $0 === scores } || spare.contains { $0 === scores }
            if !shared { spare.append(scores) }
        }
    }
}

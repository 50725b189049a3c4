// Queries of a prompt that an engine reads in pieces: of each layer the last W rows (Hq, W, D), kept until the layer is observed.

final class QueryChunks {
    /// What is there of one layer.
    private struct Rows {
        var type = ElementType.float32
        /// Rows kept, at most W, and rows that came.
        var count = 0
        var total = 0
    }

    private let shape: ModelShape
    private let memory: [Buffer<UInt8>]
    private var layers: [Rows]

    init(_ shape: ModelShape, _ account: MemoryAccount) {
        self.shape = shape
        memory = (0..<shape.layers).map { _ in Buffer(account) }
        layers = (0..<shape.layers).map { _ in Rows() }
    }

    var isEmpty: Bool { layers.allSatisfy { $0.total == 0 } }

    func has(_ layer: Int) -> Bool { layers[layer].total > 0 }

    /// The chunk's rows follow those that came before it.
    /// - Parameter window: W, the same for every chunk.
    func append(_ chunk: TensorView, layer: Int, window: Int) throws(KVSieveError) {
        try LayerView.check(chunk.name, "heads", chunk.heads, shape.queryHeads, "the model's query_heads")
        try LayerView.check(chunk.name, "dim", chunk.dim, shape.headDim, "the model's head_dim")
        var rows = layers[layer]
        guard rows.total == 0 || rows.type == chunk.type else {
            throw KVSieveError(
                .dtype, "queries.dtype is \(chunk.type.name); expected \(rows.type.name), as in the chunks before")
        }
        guard rows.total <= ModelShape.mostTokens - chunk.tokens else {
            throw KVSieveError(
                .shape,
                "queries.tokens is \(chunk.tokens), after \(rows.total) in earlier chunks; expected at most"
                    + " \(ModelShape.mostTokens) together")
        }
        let bytes = chunk.rowBytes
        let start = UnsafeMutableRawPointer(try memory[layer].reserve(shape.queryHeads * window * bytes))
        let new = min(chunk.tokens, window)
        let old = min(rows.count, window - new)
        for head in 0..<shape.queryHeads {
            let own = start + head * window * bytes
            own.copyMemory(from: own + (rows.count - old) * bytes, byteCount: old * bytes)
            for row in 0..<new {
                (own + (old + row) * bytes).copyMemory(
                    from: chunk.row(head, chunk.tokens - new + row), byteCount: bytes)
            }
        }
        rows = Rows(type: chunk.type, count: old + new, total: rows.total + chunk.tokens)
        layers[layer] = rows
    }

    /// What the caller brings, with the queries that came in chunks.
    /// - Parameters:
    ///   - window: W; nil for a layer that reads no queries.
    ///   - new: tokens of this round, of a sequence that goes on; those of the keys for a prompt.
    func with(
        _ tensors: LayerTensors, layer: Int, window: Int?, new: Int?
    ) throws(KVSieveError) -> LayerTensors {
        let rows = layers[layer]
        guard rows.total > 0, let window else { return tensors }
        guard tensors.queries == nil, tensors.attention == nil else {
            throw KVSieveError(
                .state,
                "queries of layer \(layer) came by kvsieve_plan_queries; expected NULL for them, and keys")
        }
        if let new = new ?? tensors.keys?.tokens, rows.total > new {
            throw KVSieveError(
                .shape,
                "\(rows.total) queries of layer \(layer) came in chunks; expected at most \(new), the new tokens")
        }
        let bytes = rows.type.rowBytes(shape.headDim)
        let view = try TensorView(
            "queries", base: UnsafeMutableRawPointer(memory[layer].reserve(1)), heads: shape.queryHeads,
            tokens: rows.count, dim: shape.headDim, headStride: window * bytes, tokenStride: bytes, type: rows.type)
        return LayerTensors(queries: view, keys: tensors.keys, values: tensors.values)
    }

    /// The layer was observed.
    func forget(_ layer: Int) { layers[layer] = Rows() }

    func clear() { for layer in layers.indices { forget(layer) } }
}

extension Plan {
    /// Some of a layer's queries, before it is observed; those of the last W tokens are kept. Nothing is kept for a layer that
    /// reads none.
    public func queries(
        layer: Int, _ read: () throws(KVSieveError) -> TensorView
    ) throws(KVSieveError) {
        try checkLayer(layer)
        guard case .prefill = phase, layer >= current.layers.count else {
            throw KVSieveError(
                .state, "queries of layer \(layer) came after it was observed; extend and reset begin a new round")
        }
        guard let reads = try reads(currentMethod(), layer), reads.queryRows != nil else { return }
        guard let window = reads.window else {
            throw KVSieveError(
                .state, "the method reads the queries of all tokens; expected them at once, in kvsieve_plan_observe")
        }
        try chunks.append(read(), layer: layer, window: window)
    }
}

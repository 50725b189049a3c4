// What a step is given: the attention logits of the new tokens, or the queries and keys whose product they are.

/// The new tokens of one layer and the rows that they attend to. n rows: the slots in use, then the m new tokens.
public struct StepInput: Sendable {
    enum Source: Sendable {
        /// How many rows there are: the method reads no number. (A payload, although n has it: to find a case without one, Swift
        /// would read all the bytes of the enum, which the other cases do not fill.)
        case length(rows: Int)
        /// queries (Hq, m, D), keys (H, n, D).
        case product(queries: TensorView, keys: TensorView)
        /// (Hq, m, n): scale * q . k.
        case logits(TensorView)
    }

    let shape: ModelShape
    let layer: Int
    let source: Source
    /// (H, n, Dv); the rows of the new tokens are read.
    let values: TensorView?
    /// m.
    let new: Int
    /// n.
    let rows: Int

    public init(
        _ shape: ModelShape, layer: Int, queries: TensorView, keys: TensorView, values: TensorView?
    ) throws(KVSieveError) {
        try check(queries, "heads", queries.heads, shape.queryHeads, "the model's query_heads")
        try check(queries, "dim", queries.dim, shape.headDim, "the model's head_dim")
        try check(keys, "heads", keys.heads, shape.heads, "the model's kv_heads")
        try check(keys, "dim", keys.dim, shape.headDim, "the model's head_dim")
        try self.init(
            shape, layer, .product(queries: queries, keys: keys), values, tokens: queries.tokens, rows: keys.tokens)
    }

    /// New tokens of which only the number counts: `keys` has as many rows as the cache, `living` of them slots in use.
    /// - Parameter queries: not read; if given, one for each new token.
    public init(
        _ shape: ModelShape, layer: Int, keys: TensorShape, living: Int, queries: TensorShape? = nil
    ) throws(KVSieveError) {
        guard keys.heads == shape.heads else {
            throw KVSieveError(
                .shape, "\(keys.name).heads is \(keys.heads); expected \(shape.heads), the model's kv_heads")
        }
        guard keys.tokens > living else {
            throw KVSieveError(
                .shape, "\(keys.name).tokens is \(keys.tokens); expected more than the \(living) slots in use")
        }
        if let queries, queries.tokens != keys.tokens - living {
            throw KVSieveError(
                .shape,
                "queries.tokens is \(queries.tokens); expected \(keys.tokens - living), the rows of keys after the \(living)"
                    + " slots in use")
        }
        try self.init(
            shape, layer, .length(rows: keys.tokens), nil, tokens: keys.tokens - living, rows: keys.tokens)
    }

    public init(
        _ shape: ModelShape, layer: Int, logits: TensorView, values: TensorView?
    ) throws(KVSieveError) {
        try check(logits, "heads", logits.heads, shape.queryHeads, "the model's query_heads")
        try self.init(shape, layer, .logits(logits), values, tokens: logits.tokens, rows: logits.dim)
    }

    /// New tokens of which only the number counts, by the shape of their logits.
    /// - Parameter rows: n.
    public init(_ shape: ModelShape, layer: Int, logits: TensorShape, rows: Int) throws(KVSieveError) {
        guard logits.heads == shape.queryHeads else {
            throw KVSieveError(
                .shape, "\(logits.name).heads is \(logits.heads); expected \(shape.queryHeads), the model's query_heads"
            )
        }
        try self.init(shape, layer, .length(rows: rows), nil, tokens: logits.tokens, rows: rows)
    }

    private init(
        _ shape: ModelShape, _ layer: Int, _ source: Source, _ values: TensorView?, tokens: Int, rows: Int
    ) throws(KVSieveError) {
        if let values {
            try check(values, "heads", values.heads, shape.heads, "the model's kv_heads")
            try check(values, "tokens", values.tokens, rows, "the rows of the other tensors")
        }
        self.shape = shape
        self.layer = layer
        self.source = source
        self.values = values
        self.new = tokens
        self.rows = rows
    }

    /// How many keys are widened, or read, together.
    static let tile = 64

    func reserve(_ work: Workspace) throws(KVSieveError) {
        if case .length = source { return }
        try work.stepLogits.reserve(shape.queryHeads * new * rows)
        for worker in work.workers {
            try worker.keyTile.reserve(Self.tile * shape.headDim)
            try worker.oneRow.reserve(values?.dim ?? 0)
            try worker.packedQueries.reserve(shape.group * new * shape.headDim)
        }
    }

    /// Makes the logits of key/value head `head`. If the caller has given them as float32, and in no blocks, they are read where
    /// they are.
    func make(_ head: Int, _ work: Workspace, _ worker: WorkerBuffers) throws(KVSieveError) {
        let count = shape.group * new
        switch source {
        case .length: return
        case .logits(let tensor):
            if Self.isReadInPlace(tensor) { return }
            let out = try work.stepLogits.reserve(shape.queryHeads * new * rows) + head * count * rows
            for row in 0..<count {
                let source = tensor.row(head * shape.group + row / new, row % new)
                tensor.type.widen(source, out + row * rows, rows)
            }
        case .product(let queries, let keys):
            let out = try work.stepLogits.reserve(shape.queryHeads * new * rows) + head * count * rows
            try multiply(queries, keys, head, worker, out)
        }
    }

    private static func isReadInPlace(_ logits: TensorView) -> Bool { logits.type == .float32 && logits.table == nil }

    /// The logits of a query head and of the query heads after it.
    func logits(fromQueryHead first: Int, _ work: Workspace) throws(KVSieveError) -> LogitRows {
        if case .logits(let tensor) = source, Self.isReadInPlace(tensor) {
            return LogitRows(
                start: tensor.row(first, 0), tokens: new, headStride: tensor.headStride,
                rowStride: tensor.tokenStride)
        }
        let out = try work.stepLogits.reserve(shape.queryHeads * new * rows) + first * new * rows
        return LogitRows(start: out, tokens: new, headStride: new * rows * 4, rowStride: rows * 4)
    }

    private func multiply(
        _ queries: TensorView, _ keys: TensorView, _ head: Int, _ worker: WorkerBuffers,
        _ out: UnsafeMutablePointer<Float>
    ) throws(KVSieveError) {
        let (dim, count) = (shape.headDim, shape.group * new)
        let packed = try worker.packedQueries.reserve(count * dim)
        for row in 0..<count {
            let target = packed + row * dim
            queries.type.widen(queries.row(head * shape.group + row / new, row % new), target, dim)
            for d in 0..<dim { target[d] *= shape.scale }
        }
        let tile = try worker.keyTile.reserve(Self.tile * dim)
        var first = 0
        while first < rows {
            let columns = min(Self.tile, keys.run(from: first, to: rows))
            var floats = UnsafePointer(tile)
            var stride = dim
            if keys.type == .float32 {
                floats = UnsafePointer(keys.row(head, first).assumingMemoryBound(to: Float.self))
                stride = keys.tokenStride / 4
            } else {
                let source = keys.row(head, first)
                for j in 0..<columns { keys.type.widen(source + j * keys.tokenStride, tile + j * dim, dim) }
            }
            kernels.row_dots(
                packed, Int64(count), floats, Int64(stride), Int64(columns), Int64(dim), out + first, Int64(rows))
            first += columns
        }
    }

    /// Prefetches the values of new token i.
    func prefetch(_ head: Int, _ i: Int) {
        guard let values else { return }
        prefetchLines(values.row(head, rows - new + i), bytes: values.rowBytes)
    }

    /// Squared norm of new token i's values.
    func norm(_ head: Int, _ i: Int, _ worker: WorkerBuffers) throws(KVSieveError) -> Float {
        guard let values else { throw KVSieveError(.null, "values are NULL, but the method reads them") }
        let row = try worker.oneRow.reserve(values.dim)
        values.type.widen(values.row(head, rows - new + i), row, values.dim)
        return kernels.squared_norm(row, Int64(values.dim))
    }
}

/// Row g * m + i holds the logits of the g-th query head from a first one on, and new token i.
struct LogitRows: @unchecked Sendable {
    let start: UnsafeRawPointer
    let tokens: Int
    let headStride: Int
    let rowStride: Int

    subscript(row: Int) -> UnsafePointer<Float> {
        (start + row / tokens * headStride + row % tokens * rowStride).assumingMemoryBound(to: Float.self)
    }
}

private func check(
    _ tensor: TensorView, _ field: StaticString, _ value: Int, _ expected: Int, _ what: String
) throws(KVSieveError) {
    guard value == expected else {
        throw KVSieveError(.shape, "\(tensor.name).\(field) is \(value); expected \(expected), \(what)")
    }
}

// What a method reads of one layer. Queries (Hq, rows, D), keys (H, n, D), values (H, n, Dv); rows = min(W, m), or m. Of a
// prompt n = m = T; of a sequence that goes on n are the rows of its longest head, m the new tokens, each head's own end at
// its own last row.
// In the place of queries and keys a layer may have attention that the engine computed. A tensor the layer does not need is nil
// and was never looked at.

public struct LayerView: Sendable {
    public let shape: ModelShape
    public let layer: Int
    public let length: CacheLength
    let queries: TensorView?
    let keys: TensorView?
    let values: TensorView?
    let attention: GivenAttention?
    /// May keys in blocks of bytes be multiplied as bytes?
    let coarse: Bool

    /// Rows of the window: W, or as many as there are new tokens.
    let windowRows: Int

    /// - Parameters:
    ///   - length: of this layer's cache; nil in a prompt's first layer.
    ///   - reads: nil for a layer that goes by an earlier one's scores.
    ///   - caches: heads of all layers, of the model that this may be a part of.
    ///   - coarse: may keys in blocks of bytes be multiplied as bytes?
    public init(
        _ shape: ModelShape, layer: Int, length: CacheLength?, reads: Reads?, _ tensors: LayerTensors,
        caches: Int? = nil, coarse: Bool = false
    ) throws(KVSieveError) {
        self.shape = shape
        self.layer = layer
        self.coarse = coarse
        var needs = reads?.needs ?? []
        let attention = needs.contains(.queries) ? tensors.attention : nil
        if attention != nil { needs.subtract([.queries, .keys]) }
        let keys = try Self.required(tensors.keys, needs.contains(.keys), "keys", layer)
        let queries = try Self.required(tensors.queries, needs.contains(.queries), "queries", layer)
        let values = try Self.required(tensors.values, needs.contains(.values), "values", layer)
        let size = try Self.required(tensors.shape, needs.contains(.length), "keys", layer)
        let prompt = (keys?.tokens ?? values?.tokens ?? size?.tokens ?? attention?.tensor.dim).map {
            CacheLength(prompt: $0, caches: caches ?? shape.layers * shape.heads)
        }
        guard let length = length ?? prompt else {
            throw KVSieveError(.state, "layer \(layer) takes over the choice of a layer that was not observed")
        }
        self.length = length
        self.keys = keys
        self.values = values
        self.attention = try attention.flatMap { (given) throws(KVSieveError) in
            try reads.map { (reads) throws(KVSieveError) in try given.lastRows(shape, length, reads) }
        }
        self.queries = try queries.map { (queries) throws(KVSieveError) in
            try Self.lastRows(queries, shape, length, reads?.rows(new: length.new) ?? 0, reads)
        }
        windowRows = self.queries?.tokens ?? (self.attention == nil ? 0 : reads?.rows(new: length.new) ?? 0)
        if let keys {
            try Self.check(keys.name, keys.heads, keys.tokens, shape, length, layer)
            try Self.check(keys.name, "dim", keys.dim, shape.headDim, "the model's head_dim")
        }
        if let values { try Self.check(values.name, values.heads, values.tokens, shape, length, layer) }
        if let size { try Self.check(size.name, size.heads, size.tokens, shape, length, layer) }
    }

    /// Keys or values with a head's own rows alone, as far as that head goes.
    func rows(_ tensor: TensorView, of head: Int) -> TensorView {
        let first = length.first(head)
        return first == 0 ? tensor : tensor.tokens(first..<tensor.tokens)
    }

    /// A layer as it was `tokens` new tokens earlier, with queries of the last before them.
    init(_ layer: LayerView, before tokens: Int, queries: TensorView, keys: TensorView) {
        shape = layer.shape
        self.layer = layer.layer
        length = layer.length.before(tokens)
        self.queries = queries
        self.keys = keys
        values = nil
        attention = nil
        coarse = layer.coarse
        windowRows = queries.tokens
    }

    /// The rows that the layer reads, of as many as were given.
    private static func lastRows(
        _ queries: TensorView, _ shape: ModelShape, _ length: CacheLength, _ rows: Int, _ reads: Reads?
    ) throws(KVSieveError) -> TensorView {
        try check(queries.name, "heads", queries.heads, shape.queryHeads, "the model's query_heads")
        try check(queries.name, "dim", queries.dim, shape.headDim, "the model's head_dim")
        guard rows <= queries.tokens, queries.tokens <= length.new else {
            throw KVSieveError(
                .shape, "queries.tokens is \(queries.tokens); expected \(reads?.expectedRows(length) ?? "\(rows)")")
        }
        return queries.tokens((queries.tokens - rows)..<queries.tokens)
    }

    private static func required<Given>(
        _ given: Given?, _ needed: Bool, _ name: StaticString, _ layer: Int
    ) throws(KVSieveError) -> Given? {
        guard needed else { return nil }
        guard let given else {
            throw KVSieveError(.null, "\(name) is NULL, but layer \(layer) reads it (kvsieve_plan_needs)")
        }
        return given
    }

    /// Keys or values: a row for each row of the cache.
    private static func check(
        _ name: StaticString, _ heads: Int, _ tokens: Int, _ shape: ModelShape, _ length: CacheLength, _ layer: Int
    ) throws(KVSieveError) {
        try check(name, "heads", heads, shape.heads, "the model's kv_heads")
        try check(
            name, "tokens", tokens, length.longest,
            length.isPrompt
                ? "what the sequence has in other tensors and layers"
                : "the most rows that a head of layer \(layer) kept and \(length.new) new ones")
    }

    static func check(
        _ name: StaticString, _ field: StaticString, _ value: Int, _ expected: Int, _ what: @autoclosure () -> String
    ) throws(KVSieveError) {
        guard value == expected else {
            throw KVSieveError(.shape, "\(name).\(field) is \(value); expected \(expected), \(what())")
        }
    }
}

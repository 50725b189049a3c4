// What a method reads of one layer. Queries (Hq, rows, D), keys (H, n, D), values (H, n, Dv); rows = min(W, m), or m. Of a
// prompt n = m = T; of a sequence that goes on n are the rows of its longest head, m the new tokens, each head's own end at
// its own last row.
// A tensor the layer does not need is nil and was never looked at.

/// Which tensors a layer reads. The raw values are the C API's KVSIEVE_NEEDS_*.
public struct Needs: OptionSet, Sendable {
    public let rawValue: Int32
    public init(rawValue: Int32) { self.rawValue = rawValue }
    public static let queries = Needs(rawValue: 1)
    public static let keys = Needs(rawValue: 2)
    public static let values = Needs(rawValue: 4)
    /// The queries are those of all T tokens (of all new ones when the sequence goes on).
    public static let allQueries = Needs(rawValue: 8)
}

public struct LayerView: Sendable {
    public let shape: ModelShape
    public let layer: Int
    public let length: CacheLength
    let queries: TensorView?
    let keys: TensorView?
    let values: TensorView?

    /// - Parameters:
    ///   - length: of this layer's cache; nil in a prompt's first layer.
    ///   - window: W; of the queries the last min(W, m) rows are read.
    public init(
        _ shape: ModelShape, layer: Int, length: CacheLength?, window: Int, needs: Needs, queries: TensorView?,
        keys: TensorView?, values: TensorView?
    ) throws(KVSieveError) {
        self.shape = shape
        self.layer = layer
        let keys = try Self.required(keys, needs.contains(.keys), "keys", layer)
        let queries = try Self.required(queries, needs.contains(.queries), "queries", layer)
        let values = try Self.required(values, needs.contains(.values), "values", layer)
        // Only a first layer that reads neither would leave T unknown; no method has one.
        let prompt = (keys?.tokens ?? values?.tokens).map {
            CacheLength(prompt: $0, caches: shape.layers * shape.heads)
        }
        guard let length = length ?? prompt else {
            throw KVSieveError(.state, "layer \(layer) takes over the choice of a layer that was not observed")
        }
        self.length = length
        self.queries = try queries.map { (queries) throws(KVSieveError) in
            try Self.lastRows(queries, shape, length, all: needs.contains(.allQueries), window)
        }
        self.keys = keys
        self.values = values
        if let keys { try Self.check(keys, shape, length, layer) }
        if let values { try Self.check(values, shape, length, layer) }
        if let keys { try Self.check(keys, "dim", keys.dim, shape.headDim, "the model's head_dim") }
    }

    /// The rows that the layer reads, of as many as were given.
    private static func lastRows(
        _ queries: TensorView, _ shape: ModelShape, _ length: CacheLength, all: Bool, _ window: Int
    ) throws(KVSieveError) -> TensorView {
        try check(queries, "heads", queries.heads, shape.queryHeads, "the model's query_heads")
        try check(queries, "dim", queries.dim, shape.headDim, "the model's head_dim")
        let rows = all ? length.new : min(window, length.new)
        guard (rows...length.new).contains(queries.tokens) else {
            let tokens = length.isPrompt ? "tokens" : "new tokens"
            throw KVSieveError(
                .shape,
                "queries.tokens is \(queries.tokens); expected "
                    + (all
                        ? "\(rows), all \(tokens)"
                        : "at least \(rows), min(window \(window), \(tokens) \(length.new)), and at most \(length.new)"))
        }
        return queries.tokens((queries.tokens - rows)..<queries.tokens)
    }

    /// A layer as it was `tokens` new tokens earlier, with queries of the last before them.
    init(_ layer: LayerView, before tokens: Int, queries: TensorView, keys: TensorView) {
        shape = layer.shape
        self.layer = layer.layer
        length = layer.length.before(tokens)
        self.queries = queries
        self.keys = keys
        values = nil
    }

    private static func required(
        _ tensor: TensorView?, _ needed: Bool, _ name: StaticString, _ layer: Int
    ) throws(KVSieveError) -> TensorView? {
        guard needed else { return nil }
        guard let tensor else {
            throw KVSieveError(.null, "\(name) is NULL, but layer \(layer) reads it (kvsieve_plan_needs)")
        }
        return tensor
    }

    /// Keys or values: a row for each row of the cache.
    private static func check(
        _ tensor: TensorView, _ shape: ModelShape, _ length: CacheLength, _ layer: Int
    ) throws(KVSieveError) {
        try check(tensor, "heads", tensor.heads, shape.heads, "the model's kv_heads")
        try check(
            tensor, "tokens", tensor.tokens, length.longest,
            length.isPrompt
                ? "what the sequence has in other tensors and layers"
                : "the most rows that a head of layer \(layer) kept and \(length.new) new ones")
    }

    private static func check(
        _ tensor: TensorView, _ field: StaticString, _ value: Int, _ expected: Int, _ what: @autoclosure () -> String
    ) throws(KVSieveError) {
        guard value == expected else {
            throw KVSieveError(.shape, "\(tensor.name).\(field) is \(value); expected \(expected), \(what())")
        }
    }
}

// What a method reads of one layer. Queries (Hq, rows, D), keys (H, T, D), values (H, T, Dv); rows = min(W, T), or T.
// A tensor the layer does not need is nil and was never looked at.

/// Which tensors a layer reads. The raw values are the C API's KVSIEVE_NEEDS_*.
public struct Needs: OptionSet, Sendable {
    public let rawValue: Int32
    public init(rawValue: Int32) { self.rawValue = rawValue }
    public static let queries = Needs(rawValue: 1)
    public static let keys = Needs(rawValue: 2)
    public static let values = Needs(rawValue: 4)
    /// The queries are those of all T tokens.
    public static let allQueries = Needs(rawValue: 8)
}

public struct LayerView: Sendable {
    public let shape: ModelShape
    public let layer: Int
    /// T, the same in every layer of a sequence.
    public let tokens: Int
    let queries: TensorView?
    let keys: TensorView?
    let values: TensorView?

    /// - Parameters:
    ///   - tokens: T as earlier layers had it; nil in the first.
    ///   - window: W; the queries have min(W, T) rows.
    public init(
        _ shape: ModelShape, layer: Int, tokens: Int?, window: Int, needs: Needs, queries: TensorView?,
        keys: TensorView?, values: TensorView?
    ) throws(KVSieveError) {
        self.shape = shape
        self.layer = layer
        let keys = try Self.required(keys, needs.contains(.keys), "keys", layer)
        let queries = try Self.required(queries, needs.contains(.queries), "queries", layer)
        let values = try Self.required(values, needs.contains(.values), "values", layer)
        // Only a first layer that reads neither would leave T unknown; no method has one.
        guard let tokens = tokens ?? keys?.tokens ?? values?.tokens else {
            throw KVSieveError(.state, "layer \(layer) takes over the choice of a layer that was not observed")
        }
        let rows = needs.contains(.allQueries) ? tokens : min(window, tokens)
        self.tokens = tokens
        self.queries = queries
        self.keys = keys
        self.values = values
        for tensor in [keys, values].compactMap({ $0 }) {
            try Self.check(tensor, "heads", tensor.heads, shape.heads, "the model's kv_heads")
            try Self.check(tensor, "tokens", tensor.tokens, tokens, "what the sequence has in other tensors and layers")
        }
        if let keys { try Self.check(keys, "dim", keys.dim, shape.headDim, "the model's head_dim") }
        if let queries {
            try Self.check(queries, "heads", queries.heads, shape.queryHeads, "the model's query_heads")
            try Self.check(queries, "dim", queries.dim, shape.headDim, "the model's head_dim")
            try Self.check(
                queries, "tokens", queries.tokens, rows,
                needs.contains(.allQueries) ? "all tokens" : "min(window \(window), tokens \(tokens))")
        }
    }

    /// Some rows of a layer: its first tokens, and queries of the last of them.
    init(_ layer: LayerView, queries: TensorView, keys: TensorView) {
        shape = layer.shape
        self.layer = layer.layer
        tokens = keys.tokens
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

    private static func check(
        _ tensor: TensorView, _ field: StaticString, _ value: Int, _ expected: Int, _ what: String
    ) throws(KVSieveError) {
        guard value == expected else {
            throw KVSieveError(.shape, "\(tensor.name).\(field) is \(value); expected \(expected), \(what)")
        }
    }
}

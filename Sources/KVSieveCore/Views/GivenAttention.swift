// Attention that the engine has computed: what its own softmax saw or said, with its bias, softcap and sinks in it.

public struct GivenAttention: Sendable {
    /// What the numbers are. The raw values are the C API's.
    public enum Kind: Int32, Sendable {
        /// (Hq, rows, n): scale * q . k before the softmax.
        case logits = 0
        /// (Hq, rows, n): after it.
        case probabilities = 1
        /// (Hq, 1, n), or (H, 1, n), the mean over each group: probabilities summed over the rows that the method reads.
        case columnSums = 2
    }

    public let kind: Kind
    public let tensor: TensorView

    public init(_ kind: Kind, _ tensor: TensorView) {
        self.kind = kind
        self.tensor = tensor
    }

    /// n is where a tensor of rows has its dim, and may be as large as a sequence is long.
    public static let mostColumns = ModelShape.mostTokens

    /// The rows that a layer reads, of as many as were given; checked to be those of the layer.
    func lastRows(
        _ shape: ModelShape, _ length: CacheLength, _ reads: Reads
    ) throws(KVSieveError) -> GivenAttention {
        guard tensor.type.isFloat else {
            throw KVSieveError(
                .dtype, "attention.dtype is \(tensor.type.name), too narrow for attention; expected F32, F16 or BF16")
        }
        let rows = reads.rows(new: length.new)
        try check("dim", tensor.dim, length.longest, "the rows of the cache")
        if kind != .columnSums {
            try check("heads", tensor.heads, shape.queryHeads, "the model's query_heads")
            guard rows <= tensor.tokens, tensor.tokens <= length.new else {
                throw KVSieveError(
                    .shape, "attention.tokens is \(tensor.tokens); expected \(reads.expectedRows(length))")
            }
            return GivenAttention(kind, tensor.tokens((tensor.tokens - rows)..<tensor.tokens))
        }
        guard tensor.heads == shape.queryHeads || tensor.heads == shape.heads else {
            throw KVSieveError(
                .shape,
                "attention.heads is \(tensor.heads); expected the model's query_heads, \(shape.queryHeads), or its kv_heads,"
                    + " \(shape.heads)")
        }
        try check("tokens", tensor.tokens, 1, "column sums over all rows")
        guard reads.detail < .rows else {
            throw KVSieveError(
                .parameter,
                "kind is 2, column sums, but the method looks at each row of the window by itself; it takes logits (0) and"
                    + " probabilities (1)")
        }
        guard reads.detail < .queryHeads || tensor.heads == shape.queryHeads else {
            throw KVSieveError(
                .shape,
                "attention.heads is \(tensor.heads); expected \(shape.queryHeads): the method looks at each query head by"
                    + " itself")
        }
        return self
    }

    /// Its heads for each key/value head: the group's, or 1 where the group is summed up.
    func perHead(_ shape: ModelShape) -> Int { tensor.heads / shape.heads }

    private func check(
        _ field: String, _ value: Int, _ expected: Int, _ what: String
    ) throws(KVSieveError) {
        guard value == expected else {
            throw KVSieveError(.shape, "attention.\(field) is \(value); expected \(expected), \(what)")
        }
    }
}

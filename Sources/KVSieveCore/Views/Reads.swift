// What a method reads of a layer: nothing, keys, or the queries of the last W or of all tokens with the keys; and values.

public struct Reads: Sendable, Equatable {
    public enum QueryRows: Sendable, Equatable {
        /// Those of the last W tokens.
        case last(Int)
        /// Those of all tokens (of all new ones when the sequence goes on).
        case all
    }

    /// What must still be told apart in attention that an engine has computed and summed.
    public enum Detail: Int, Sendable, Comparable {
        /// Sums over the rows and over the query heads of a group do.
        case heads
        /// Sums over the rows do, of each query head by itself.
        case queryHeads
        /// Each row counts by itself.
        case rows

        public static func < (one: Detail, other: Detail) -> Bool { one.rawValue < other.rawValue }
    }

    let queryRows: QueryRows?
    let readsKeys: Bool
    let readsValues: Bool
    let detail: Detail

    private init(_ queryRows: QueryRows?, keys: Bool, values: Bool, detail: Detail = .heads) {
        self.queryRows = queryRows
        readsKeys = keys
        readsValues = values
        self.detail = detail
    }

    /// No tensor: only the number of tokens.
    public static let nothing = Reads(nil, keys: false, values: false)
    public static let keys = Reads(nil, keys: true, values: false)
    /// Queries, and the keys that they attend to.
    public static func queries(_ rows: QueryRows, detail: Detail = .heads) -> Reads {
        Reads(rows, keys: true, values: false, detail: detail)
    }
    public var andValues: Reads { Reads(queryRows, keys: readsKeys, values: true, detail: detail) }

    /// How many rows of queries, or of attention, may be given; for sentences.
    func expectedRows(_ length: CacheLength) -> String {
        let rows = rows(new: length.new)
        let tokens = length.isPrompt ? "tokens" : "new tokens"
        guard case .last(let window) = queryRows else { return "\(rows), all \(tokens)" }
        return "at least \(rows), min(window \(window), \(tokens) \(length.new)), and at most \(length.new)"
    }

    /// As the C API says it.
    var needs: Needs {
        if self == .nothing { return .length }
        var needs: Needs = []
        if queryRows != nil { needs.insert(.queries) }
        if queryRows == .all { needs.insert(.allQueries) }
        if readsKeys { needs.insert(.keys) }
        if readsValues { needs.insert(.values) }
        return needs
    }

    /// W; nil if no queries are read, or those of all tokens.
    var window: Int? {
        if case .last(let window) = queryRows { return window }
        return nil
    }

    /// How many query rows are read if there are `new` tokens.
    func rows(new: Int) -> Int {
        switch queryRows {
        case .last(let window): return min(window, new)
        case .all: return new
        case nil: return 0
        }
    }
}

/// Which tensors a layer reads. The raw values are the C API's KVSIEVE_NEEDS_*.
public struct Needs: OptionSet, Sendable {
    public let rawValue: Int32
    public init(rawValue: Int32) { self.rawValue = rawValue }
    public static let queries = Needs(rawValue: 1)
    public static let keys = Needs(rawValue: 2)
    public static let values = Needs(rawValue: 4)
    /// The queries are those of all T tokens (of all new ones when the sequence goes on).
    public static let allQueries = Needs(rawValue: 8)
    /// Of the keys only the shape is read.
    public static let length = Needs(rawValue: 16)
}

/// What a caller brings for a layer: tensors that are not needed are nil and were never looked at.
public struct LayerTensors {
    let queries: TensorView?
    let keys: TensorView?
    let values: TensorView?
    /// The shape of keys whose data are not read.
    let shape: TensorShape?
    /// In the place of queries and keys.
    let attention: GivenAttention?

    public init(
        queries: TensorView? = nil, keys: TensorView? = nil, values: TensorView? = nil, shape: TensorShape? = nil
    ) {
        self.queries = queries
        self.keys = keys
        self.values = values
        self.shape = shape
        attention = nil
    }

    public init(attention: GivenAttention?, values: TensorView?) {
        queries = nil
        keys = nil
        self.values = values
        shape = nil
        self.attention = attention
    }
}

/// How large a tensor is, whatever its memory holds.
public struct TensorShape: Sendable {
    public let name: StaticString
    public let heads: Int
    public let tokens: Int

    public init(_ name: StaticString, heads: Int, tokens: Int) throws(KVSieveError) {
        try TensorView.checkSize(name, "heads", heads, ModelShape.mostHeads)
        try TensorView.checkSize(name, "tokens", tokens, ModelShape.mostTokens)
        self.name = name
        self.heads = heads
        self.tokens = tokens
    }
}

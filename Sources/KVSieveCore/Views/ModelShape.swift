// What is fixed for a model: L layers, Hq query heads, H key/value heads, G = Hq / H, D head size, scale of the logits.

public struct ModelShape: Sendable {
    public static let mostLayers = 1024
    public static let mostHeads = 1024
    public static let mostDim = 65536
    public static let mostTokens = 1 << 24

    public let layers: Int
    public let queryHeads: Int
    public let heads: Int
    public let headDim: Int
    public let scale: Float

    public var group: Int { queryHeads / heads }

    /// - Parameter scale: 0 means 1/sqrt(headDim).
    public init(
        layers: Int, queryHeads: Int, heads: Int, headDim: Int, scale: Float = 0
    ) throws(KVSieveError) {
        try Self.check("model.layers", layers, Self.mostLayers)
        try Self.check("model.query_heads", queryHeads, Self.mostHeads)
        try Self.check("model.kv_heads", heads, Self.mostHeads)
        try Self.check("model.head_dim", headDim, Self.mostDim)
        guard queryHeads % heads == 0 else {
            throw KVSieveError(
                .shape, "model.query_heads is \(queryHeads), which is not a multiple of model.kv_heads, \(heads)")
        }
        guard scale.isFinite, scale >= 0 else {
            throw KVSieveError(.parameter, "model.scale is \(scale); expected a finite number that is not negative")
        }
        self.layers = layers
        self.queryHeads = queryHeads
        self.heads = heads
        self.headDim = headDim
        self.scale = scale == 0 ? 1 / Float(headDim).squareRoot() : scale
    }

    private static func check(_ name: String, _ value: Int, _ most: Int) throws(KVSieveError) {
        guard (1...most).contains(value) else {
            throw KVSieveError(.shape, "\(name) is \(value); expected 1 ... \(most)")
        }
    }
}

// A rank's place among the ranks that have a part of the model, and how bytes go to all of them: by the engine's own collective.

public struct RankGroup {
    public static let mostRanks = 1024

    /// Every rank sends as many bytes; all ranks receive those of all, in the order of ranks. 0 is success.
    public typealias AllGather = (
        _ send: UnsafeRawPointer, _ bytes: Int, _ receive: UnsafeMutableRawPointer
    ) -> Int32

    public let rank: Int
    public let ranks: Int
    /// Of the whole model.
    public let layers: Int
    public let heads: Int
    let part: RankPart
    /// Of the library: other versions may send other messages.
    let version: Int
    let allGather: AllGather

    /// - Parameters:
    ///   - layers: of the whole model, of which this rank has `shape.layers`, from `firstLayer` on.
    ///   - heads: likewise, key/value heads.
    public init(
        rank: Int, ranks: Int, firstLayer: Int, layers: Int, firstHead: Int, heads: Int, of shape: ModelShape,
        version: Int = 0, allGather: @escaping AllGather
    ) throws(KVSieveError) {
        try Self.check("ranks", ranks, 1...Self.mostRanks)
        try Self.check("rank", rank, 0...(ranks - 1))
        try Self.check("layers", layers, shape.layers...max(shape.layers, ModelShape.mostLayers))
        try Self.check("heads", heads, shape.heads...max(shape.heads, ModelShape.mostHeads / shape.group))
        try Self.check("first_layer", firstLayer, 0...(layers - shape.layers))
        try Self.check("first_head", firstHead, 0...(heads - shape.heads))
        (self.rank, self.ranks, self.layers, self.heads) = (rank, ranks, layers, heads)
        part = RankPart(firstLayer: firstLayer, layers: shape.layers, firstHead: firstHead, heads: shape.heads)
        self.version = version
        self.allGather = allGather
    }

    private static func check(_ field: StaticString, _ value: Int, _ bounds: ClosedRange<Int>) throws(KVSieveError) {
        guard bounds.contains(value) else {
            throw KVSieveError(
                .shape, "group.\(field) is \(value); expected \(bounds.lowerBound) ... \(bounds.upperBound)")
        }
    }
}

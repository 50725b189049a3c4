// A layer while it is observed, as a method sees it: the number of tokens, the frame, and the tables that can be made of its
// tensors. LayerAttention, LayerValues and LayerKeys have the verbs that make a table.

public struct Layer: @unchecked Sendable {
    let view: LayerView
    public let frame: Frame
    let work: Workspace
    /// The memory of the layer's own scores, where its attention is written to.
    let scores: TableMemory
    /// Positions of the rows of its cache; nil for a prompt.
    let origins: RowOrigins?
    /// Where its attention is remembered, (H, n), as the model's softmax has it but for a factor a head; nil if nobody asks for it.
    let remembered: TableMemory?
    /// The numbers that the first layer and head of this part have in the model.
    let first: (layer: Int, head: Int)
    /// Will the sequence be decoded? Then the numbers with which decoding begins are kept beside the scores.
    let decodes: Bool

    init(
        _ view: LayerView, _ frame: Frame, _ work: Workspace, scores: TableMemory, origins: RowOrigins? = nil,
        remembered: TableMemory? = nil, first: (layer: Int, head: Int) = (0, 0), decodes: Bool = false
    ) {
        self.view = view
        self.frame = frame
        self.work = work
        self.scores = scores
        self.origins = origins
        self.remembered = remembered
        self.first = first
        self.decodes = decodes
    }

    /// 0 ..< L, of this part of the model.
    var index: Int { view.layer }
    public var shape: ModelShape { view.shape }
    public var length: CacheLength { view.length }
    /// Rows of the window: W, or as many as there are new tokens.
    public var windowRows: Int { view.windowRows }

    /// Heads that are summed up for a key/value head.
    var summedHeads: Int { view.attention?.perHead(shape) ?? shape.group }

    /// (H, n) in memory of that use.
    func table(_ memory: TableMemory) throws(KVSieveError) -> HeadTable {
        try memory.reserve(rows: shape.heads, width: length.longest)
        if memory !== scores { work.tableFloats += shape.heads * length.longest }
        return HeadTable(memory, work, .rows(length), rows: shape.heads)
    }

    /// Random numbers in 0 ..< 1, (H, n), that depend on the seed, the layer and the head of the model, and the token's position
    /// alone.
    public func noise(seed: Int) throws(KVSieveError) -> HeadTable {
        let table = try table(work.noise)
        for head in 0..<shape.heads {
            let key = mixed(
                mixed(mixed(UInt64(truncatingIfNeeded: seed)) ^ UInt64(first.layer + index)) ^ UInt64(first.head + head)
            )
            let numbers = table.row(head)
            guard let start = numbers.baseAddress else { continue }
            for row in 0..<numbers.count {
                let position = origins.map { Int($0.position(head, row)) } ?? row
                start[row] = Float(mixed(key ^ UInt64(truncatingIfNeeded: position)) >> 40) / Float(1 << 24)
            }
        }
        return table
    }

    func missing(_ tensor: String) -> KVSieveError {
        KVSieveError(.null, "\(tensor) are NULL, but layer \(index) reads them")
    }
}

/// The finaliser of splitmix64: every bit of the number depends on every bit of `value`.
private func mixed(_ value: UInt64) -> UInt64 {
    var z = value &+ 0x9E37_79B9_7F4A_7C15
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
}

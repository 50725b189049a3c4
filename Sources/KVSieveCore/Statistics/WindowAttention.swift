// The attention that the last W queries pay to all T keys, reduced to one number a key:
//
//     z[i, j]  = g_i * scale * q_i . k_j             i < W (row i is position T - W + i),  causal: j <= T - W + i
//     P[i, j]  = softmax_j z[i, j]                   over all T keys, in float32
//     s[j]     = sum over the W rows (and over the G query heads of the group) of P[i, j]
//
// One product a key/value head: the group's G*W query rows against keys that are never repeated. T is walked in tiles
// (AttentionTiles): a tile's logits become exp(z - m), m the tile's own row maximum, while they are in cache. When a row's
// last tile is done its true maximum and sum are known, and each tile's share of the row is one factor
// exp(m_tile - m_row) / sum: columns are added up with these as weights. So logits are written once and read once, and T is
// split over the plan's threads within a head; short sequences give each thread heads of its own. At most `mostFloats` floats
// are held: more rows than fit go in several passes over the keys, and when T is so long that one vector of rows does not
// fit, the tiles beyond are computed a second time.
// Beside it in one run (AMD EPYC Zen 4, one thread, `make bench`), CPU ms per 1,000 tokens, float32 and bfloat16: this 3.08 and
// 1.77 at T 32,768, 3.07 and 1.73 at 131,072; two plain passes (all logits first, then exponentials by the rows' own maxima)
// 3.13 and 1.84, 3.18 and 1.82. Up to 16,384 tokens, where logits stay in the last-level cache, the two are the same within 1 %.
// Neither depends on the number of threads, nor do the sums: every tile is one thread's, rows are added in order.

public struct WindowAttention: @unchecked Sendable {
    let layer: LayerView
    let queries: TensorView
    let keys: TensorView
    /// W, or as many as there are new tokens.
    public let rows: Int
    /// g_i of the W rows, in the workspace until the next attention with gains; nil: all 1.
    private let gains: UnsafePointer<Float>?

    public init(_ layer: LayerView) throws(KVSieveError) { try self.init(layer, gains: nil) }

    /// - Parameter gain: g_i of row i < W.
    public init(
        _ layer: LayerView, _ work: Workspace, gain: (_ row: Int) -> Double
    ) throws(KVSieveError) {
        let rows = layer.queries?.tokens ?? 0
        let gains = try work.gains.reserve(rows)
        for row in 0..<rows { gains[row] = Float(gain(row)) }
        try self.init(layer, gains: UnsafePointer(gains))
    }

    private init(_ layer: LayerView, gains: UnsafePointer<Float>?) throws(KVSieveError) {
        guard let queries = layer.queries, let keys = layer.keys else {
            throw KVSieveError(.null, "queries or keys are NULL, but layer \(layer.layer) reads them")
        }
        self.layer = layer
        self.queries = queries
        self.keys = keys
        rows = queries.tokens
        self.gains = gains
    }

    /// g_i.
    func gain(_ row: Int) -> Float { gains.map { $0[row] } ?? 1 }

    /// Column sums of each key/value head, heads in order.
    /// - Parameters:
    ///   - perQueryHead: one row of sums for each query head of the group instead of one for the group.
    ///   - sideBySide: may each thread have heads of its own?
    ///   - body: gets a head's sums, which are its own to change; called once a head, on the calling thread.
    /// - Returns: had each thread heads of its own?
    @discardableResult
    public func forEachHead(
        _ work: Workspace, perQueryHead: Bool = false, sideBySide: Bool = true,
        _ body: (HeadColumns) throws(KVSieveError) -> Void
    ) throws(KVSieveError) -> Bool {
        let sumRows = perQueryHead ? layer.shape.group : 1
        let rowLayout = RowLayout(group: layer.shape.group, window: rows, padEachHead: perQueryHead)
        let stride = sumRows * layer.length.longest
        try work.rowStatistics.reserve(2 * layer.shape.queryHeads * rows)
        let whole = AttentionTiles(self, rowLayout, sumRows: sumRows, tokens: layer.length.longest)
        let sideBySide = sideBySide && whole.headsGoSideBySide(work)
        if sideBySide {
            let sums = PointerBox(try work.columns.reserve(layer.shape.heads * stride))
            try whole.reserve(work, sideBySide: true)
            try work.forEach(layer.shape.heads, WholeHeads(tiles: whole, workspace: work, sums: sums, stride: stride))
            for head in 0..<layer.shape.heads {
                try body(
                    HeadColumns(layer: layer, head: head, sums: sums.pointer + head * stride, sumRows: sumRows))
            }
        } else {
            let sums = try work.columns.reserve(stride)
            for head in 0..<layer.shape.heads {
                let tiles = AttentionTiles(self, rowLayout, sumRows: sumRows, tokens: layer.length.rows(head))
                try tiles.reserve(work)
                sums.update(repeating: 0, count: sumRows * tiles.tokens)
                try tiles.addColumns(head, work, sums)
                try body(HeadColumns(layer: layer, head: head, sums: sums, sumRows: sumRows))
            }
        }
        work.statistics = .rows
        return sideBySide
    }
}

/// Column sums of heads that are each one worker's.
private struct WholeHeads: Piecework {
    let tiles: AttentionTiles
    let workspace: Workspace
    let sums: PointerBox<Float>
    /// Floats of a head's sums.
    let stride: Int

    func work(on head: Int, with worker: WorkerBuffers) throws(KVSieveError) {
        let own = sums.pointer + head * stride
        own.update(repeating: 0, count: stride)
        try tiles.addColumns(head, workspace, by: worker, own)
    }
}

/// Where the group's query rows stand in the vectors of the kernels: one after another, or each query head from a vector of
/// its own on. Rows beyond are padding: zeros that get no weight.
struct RowLayout: Sendable {
    let window: Int
    /// Rows from one query head to the next.
    let headStride: Int
    /// All rows, a multiple of the kernels' lanes.
    let padded: Int
    let padsEachHead: Bool
    private let group: Int

    init(group: Int, window: Int, padEachHead: Bool) {
        let lanes = Int(kernels.lanes)
        func up(_ rows: Int) -> Int { (rows + lanes - 1) / lanes * lanes }
        self.group = group
        self.window = window
        padsEachHead = padEachHead
        headStride = padEachHead ? up(window) : window
        padded = up(group * headStride)
    }

    /// Query head of the group and row of its window; nil for padding.
    func source(_ row: Int) -> (head: Int, row: Int)? {
        let head = row / headStride
        let inside = row % headStride
        return head < group && inside < window ? (head, inside) : nil
    }
}

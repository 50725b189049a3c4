// The attention that the last W queries pay to all T keys, reduced to one number a key:
//
//     z[i, j]  = g_i * scale * q_i . k_j             i < W (row i is position T - W + i),  causal: j <= T - W + i
//     P[i, j]  = softmax_j z[i, j]                   over all T keys, in float32
//     s[j]     = sum over the W rows (and over the G query heads of the group) of P[i, j]
//
// One product a key/value head: the group's G*W query rows against keys that are never repeated. T is divided into tiles
// (AttentionTiles). While a tile's logits are in cache, they become exp(z - m); m is one reference for the whole row, the largest
// logit of its first tile. So equal keys have equal numbers in every tile. If a later logit is too far above m for floats, the
// row's true maximum becomes the reference, and the tiles are read again. After a row's last tile its sum is known, and columns
// are added up with 1 / sum as weights. So logits are written once and read once. The plan's threads share the tiles of a head; in
// short sequences each thread has heads of its own. At most `mostFloats` floats are held. If not all rows fit, there are several
// passes over the keys. If one vector of rows does not fit, the tiles beyond are computed a second time.
// Beside it in one run (AMD EPYC Zen 4, one thread, `make bench`), CPU ms per 1,000 tokens, float32 and bfloat16: this 3.08 and
// 1.77 at T 32,768, 3.07 and 1.73 at 131,072; two plain passes (all logits first, then exponentials by the rows' own maxima)
// 3.13 and 1.84, 3.18 and 1.82. Up to 16,384 tokens, where logits stay in the last-level cache, the two are the same within 1 %.
// Neither depends on the number of threads, nor do the sums: every tile is one thread's, rows are added in order.

struct WindowAttention: @unchecked Sendable {
    let layer: LayerView
    let queries: TensorView
    private(set) var keys: TensorView
    /// W, or as many as there are new tokens.
    let rows: Int
    /// g_i of the W rows, in the workspace until the next attention.
    private let gains: UnsafePointer<Float>
    /// Of tables that share the logits' room.
    let tableFloats: Int

    /// - Parameter gain: g of a row whose query has seen so many tokens, its own included.
    init(
        _ layer: LayerView, _ work: Workspace, gain: (_ seen: Int) -> Double = { _ in 1 }
    ) throws(KVSieveError) {
        guard let queries = layer.queries, let keys = layer.keys else {
            throw KVSieveError(.null, "queries or keys are NULL, but layer \(layer.layer) reads them")
        }
        self.layer = layer
        self.queries = queries
        self.keys = keys
        rows = queries.tokens
        tableFloats = work.tableFloats
        let gains = try work.gains.reserve(rows)
        for row in 0..<rows { gains[row] = Float(gain(layer.length.seen - rows + row + 1)) }
        self.gains = UnsafePointer(gains)
    }

    /// g_i.
    func gain(_ row: Int) -> Float { gains[row] }

    /// With the keys that a head has.
    private func of(_ head: Int) -> WindowAttention {
        var own = self
        own.keys = layer.rows(keys, of: head)
        return own
    }

    /// Adds each key/value head's column sums to its row of `table`, (H, >= n).
    /// - Parameter sideBySide: may each thread have heads of its own?
    /// - Returns: had each thread heads of its own?
    @discardableResult
    func addSums(
        to table: TableMemory, _ work: Workspace, sideBySide: Bool = true
    ) throws(KVSieveError) -> Bool {
        guard let start = table.start else { return false }
        let layout = RowLayout(group: layer.shape.group, window: rows, padEachHead: false)
        try work.softmaxRows.reserve(2 * layer.shape.queryHeads * rows)
        let whole = AttentionTiles(self, layout, sumRows: 1, cacheRows: layer.length.longest)
        let sideBySide = sideBySide && whole.headsGoSideBySide(work)
        if sideBySide {
            try whole.reserve(work, sideBySide: true)
            try work.forEach(
                layer.shape.heads,
                WholeHeads(tiles: whole, workspace: work, sums: PointerBox(start), stride: table.stride))
        } else {
            for head in 0..<layer.shape.heads {
                let tiles = AttentionTiles(of(head), layout, sumRows: 1, cacheRows: layer.length.rows(head))
                try tiles.reserve(work)
                try tiles.addColumns(head, work, start + head * table.stride)
            }
        }
        return sideBySide
    }

    /// The column sums of each query head by itself, key/value heads in order.
    /// - Parameter body: gets a key/value head's, (G, n), which are its own to change; called on the calling thread.
    func forEachGroup(
        _ work: Workspace, _ body: (_ head: Int, _ sums: HeadTable) throws(KVSieveError) -> Void
    ) throws(KVSieveError) {
        let shape = layer.shape
        let layout = RowLayout(group: shape.group, window: rows, padEachHead: true)
        try work.softmaxRows.reserve(2 * shape.queryHeads * rows)
        let whole = AttentionTiles(self, layout, sumRows: shape.group, cacheRows: layer.length.longest)
        let sums = work.queryHeadColumns
        if whole.headsGoSideBySide(work) {
            try sums.reserve(rows: shape.queryHeads, width: layer.length.longest)
            guard let start = sums.start else { return }
            sums.clear()
            try whole.reserve(work, sideBySide: true)
            try work.forEach(
                shape.heads,
                WholeHeads(
                    tiles: whole, workspace: work, sums: PointerBox(start), stride: shape.group * sums.stride))
        } else {
            for head in 0..<shape.heads {
                let tiles = AttentionTiles(
                    of(head), layout, sumRows: shape.group, cacheRows: layer.length.rows(head))
                try tiles.reserve(work)
                try sums.reserve(rows: shape.group, width: tiles.cacheRows)
                sums.clear()
                if let start = sums.start { try tiles.addColumns(head, work, start) }
                try body(head, group(head, firstRow: 0, work))
            }
            return
        }
        for head in 0..<shape.heads { try body(head, group(head, firstRow: head * shape.group, work)) }
    }

    private func group(_ head: Int, firstRow: Int, _ work: Workspace) -> HeadTable {
        HeadTable(
            work.queryHeadColumns, work, .rows(layer.length), rows: layer.shape.group, rowsOfHead: layer.shape.group,
            first: (firstRow, head))
    }
}

/// Column sums of heads, each on one worker.
private struct WholeHeads: ParallelWork {
    let tiles: AttentionTiles
    let workspace: Workspace
    let sums: PointerBox<Float>
    /// Floats of a head's sums.
    let stride: Int

    func work(on head: Int, with worker: WorkerBuffers) throws(KVSieveError) {
        try tiles.addColumns(head, workspace, by: worker, sums.pointer + head * stride)
    }
}

/// The order of the group's query rows in the vectors of the kernels: one after another, or each query head from the start of a
/// vector. Rows beyond are padding: zeros without weight.
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

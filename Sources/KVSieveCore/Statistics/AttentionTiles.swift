// One key/value head of WindowAttention: rows in parts, tokens in tiles. See there for what is computed, and why so.
//
// Memory, all of it in the workspace: packed queries (part rows, D) and a factor a row; logits of the tiles held (columns, part rows); maxima,
// sums and weights (tiles, part rows); a worker: a tile of widened keys (tile, D), a tile of logits that are not held.

struct AttentionTiles: Sendable {
    /// Keys of a tile, a multiple of the six that the kernel takes together: (tile, G*W) logits stay in the second-level
    /// cache.
    static let tile = 384
    /// Floats of logits and of column sums held at once: 26 MiB.
    static let mostFloats = 26 << 18

    let attention: WindowAttention
    let layout: RowLayout
    let dim: Int
    /// T, rows of the head's cache.
    let tokens: Int
    /// Tiles of the sequence.
    let count: Int
    /// Rows of a part, a multiple of the lanes.
    let partRows: Int
    /// Tiles whose logits are kept from the first reading to the second.
    let held: Int

    /// - Parameter sumRows: rows of T column sums beside the logits.
    init(_ attention: WindowAttention, _ layout: RowLayout, sumRows: Int, tokens: Int) {
        let lanes = Int(kernels.lanes)
        self.attention = attention
        self.layout = layout
        dim = attention.layer.shape.headDim
        usesPairs = kernels.pair_columns != nil && attention.queries.type == .bfloat16 && attention.keys.holdsPairs
        self.tokens = tokens
        count = (tokens + Self.tile - 1) / Self.tile
        let most = max(0, Self.mostFloats - sumRows * tokens)
        let fitting = most / (count * Self.tile) / lanes * lanes
        partRows = max(lanes, min(layout.padded, fitting))
        held = min(count, most / (partRows * Self.tile))
    }

    var keysAreReadInPlace: Bool {
        usesPairs
            || (attention.keys.type == .float32 && attention.keys.tokenStride / 4 <= MatrixProduct.longestStride)
    }

    /// Queries and keys in bfloat16 are multiplied as they are where the processor can, and pairs begin at whole words.
    let usesPairs: Bool

    /// Floats of a query row, or pairs.
    var words: Int { usesPairs ? dim / 2 : dim }

    /// Packed rows, a row to read into, and a factor a row.
    var packedFloats: Int { (partRows + 1) * words + partRows }

    /// BLAS makes the product where the kernels were compiled without wide vectors: its own are chosen at run time. With
    /// them logit_columns is as fast for many rows and faster for few (KVSieveKernels/README.md has the numbers).
    var usesBLAS: Bool { kernels.lanes == 4 }

    func columns(_ tile: Int) -> Range<Int> {
        tile * Self.tile..<min((tile + 1) * Self.tile, tokens)
    }

    func reserve(_ work: Workspace) throws(KVSieveError) {
        try work.queryRows.reserve(packedFloats)
        try work.logits.reserve(held * Self.tile * partRows)
        try work.tileMaxima.reserve((count + 1) * partRows)
        try work.tileSums.reserve((count + 1) * partRows)
        try work.tileWeights.reserve(count * partRows)
        for worker in work.workers {
            if usesBLAS { try worker.matrices.reserve(MatrixProduct.bufferBytes) }
            if !keysAreReadInPlace { try worker.keyTile.reserve(Self.tile * dim) }
            if held < count { try worker.logitTile.reserve(Self.tile * partRows) }
        }
    }

    /// sums[j] += the columns of all rows of one key/value head; a row of sums a query head when the layout pads each.
    func addColumns(_ head: Int, _ work: Workspace, _ sums: UnsafeMutablePointer<Float>) throws(KVSieveError) {
        let out = PointerBox(sums)
        var first = 0
        while first < layout.padded {
            let part = try AttentionPart(
                self, head: head, rows: first..<min(first + partRows, layout.padded), work)
            part.pack()
            try work.forEach(count) { (tile: Int, worker: WorkerBuffers) throws(KVSieveError) in
                try part.exponentials(tile, worker)
            }
            part.join()
            try work.forEach(count) { (tile: Int, worker: WorkerBuffers) throws(KVSieveError) in
                if tile >= part.tiles.held { try part.exponentials(tile, worker) }
                try part.addColumns(tile, worker, out.pointer)
            }
            first = part.rows.upperBound
        }
    }
}

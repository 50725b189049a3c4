// One key/value head of WindowAttention: query rows in parts, cache rows in tiles. WindowAttention says what is computed, and why.
//
// Memory, all of it in the workspace: packed queries (part rows, D) and a factor for each row; logits of the held tiles (columns,
// part rows); maxima, sums and weights (tiles, part rows). For each worker: a tile of widened keys (tile, D), and a tile of logits
// that are not held.

struct AttentionTiles: Sendable {
    /// Most keys of a tile, a multiple of the six that the kernel takes together: (tile, G*W) logits stay in the second-level
    /// cache.
    static let longestTile = 384
    let attention: WindowAttention
    let layout: RowLayout
    /// Rows of column sums.
    let sumRows: Int
    let dim: Int
    /// n, rows of the head's cache.
    let cacheRows: Int
    /// Keys of a tile, a multiple of six (of BLAS's whole rows if BLAS makes the product), and tiles of the sequence: an even
    /// number if possible, for two threads.
    let tile: Int
    let count: Int
    /// Keys of the first tile, which sets the rows' references before threads share the others: few, if there are others.
    let firstTile: Int
    /// Columns that the first tile takes in memory: a whole tile if it is the only one.
    private let firstRoom: Int
    /// Rows of a part, a multiple of the lanes.
    let partRows: Int
    /// Tiles whose logits are kept from the first reading to the second.
    let held: Int

    init(_ attention: WindowAttention, _ layout: RowLayout, sumRows: Int, cacheRows: Int) {
        let lanes = Int(kernels.lanes)
        self.attention = attention
        self.layout = layout
        self.sumRows = sumRows
        dim = attention.layer.shape.headDim
        usesBytes = attention.layer.coarse && kernels.byte_columns != nil && attention.keys.type == .q8
        usesPairs = kernels.pair_columns != nil && attention.queries.type == .bfloat16 && attention.keys.holdsPairs
        self.cacheRows = cacheRows
        firstTile = cacheRows > Self.longestTile ? MatrixProduct.wholeRows : cacheRows
        let others = cacheRows - firstTile
        let fewest = (others + Self.longestTile - 1) / Self.longestTile
        let even = fewest > 1 ? (fewest + 1) / 2 * 2 : 1
        let unit = usesBLAS ? MatrixProduct.wholeRows : 6
        let divided = others > 0 ? others : cacheRows
        tile = min(Self.longestTile, (divided + unit * even - 1) / (unit * even) * unit)
        count = 1 + (others + tile - 1) / tile
        let most = max(0, Workspace.mostFloats - sumRows * cacheRows - attention.tableFloats)
        firstRoom = others > 0 ? firstTile : tile
        let fitting = most / (firstRoom + (count - 1) * tile) / lanes * lanes
        partRows = max(lanes, min(layout.padded, fitting))
        let columns = most / partRows
        held = columns < firstRoom ? 0 : min(count, 1 + (columns - firstRoom) / tile)
    }

    /// Columns that the first `count` tiles take in memory.
    func room(_ count: Int) -> Int { count == 0 ? 0 : firstRoom + (count - 1) * tile }

    /// BLAS knows one stride, of 32 bits.
    var keysAreReadInPlace: Bool {
        usesPairs
            || (attention.keys.type == .float32
                && !(usesBLAS
                    && (attention.keys.table != nil || attention.keys.tokenStride / 4 > MatrixProduct.longestStride)))
    }

    /// Keys that are read where they are, in blocks: the product is given the place of each.
    var keysHavePlaces: Bool { keysAreReadInPlace && attention.keys.table != nil }

    /// Keys after a tile's whose places are given too, to be prefetched.
    static let keysAhead = 12

    /// Queries and keys in bfloat16 are multiplied as they are where the processor can, and pairs begin at whole words.
    let usesPairs: Bool

    /// Keys in blocks of bytes are multiplied as they are where the processor can and the plan may: queries become bytes too.
    let usesBytes: Bool

    /// Floats of a query row, or pairs, or four bytes each with what belongs to them.
    var words: Int { usesBytes ? ByteRows.words(dim) : usesPairs ? dim / 2 : dim }

    /// Packed rows, a row to read into, and a factor a row.
    var packedFloats: Int { partRows * words + dim + partRows }

    /// Floats of a worker's tile of keys.
    var keyFloats: Int { usesBytes ? tile * ByteKeys.words(dim) : tile * dim }

    /// Keys that a product of `columns` keys is made of: BLAS is given whole rows of its kernel's, the last of them zeros.
    func padded(_ columns: Int) -> Int {
        let unit = MatrixProduct.wholeRows
        return usesBLAS ? (columns + unit - 1) / unit * unit : columns
    }

    func columns(_ index: Int) -> Range<Int> {
        index == 0 ? 0..<firstTile : firstTile + (index - 1) * tile..<min(firstTile + index * tile, cacheRows)
    }

    /// May each thread have heads of its own, so that threads meet once? (With tiles of one head they meet twice a head.) Only
    /// if the logits of these heads are held at once: heads are then divided into tiles and parts as with one thread.
    func headsGoSideBySide(_ work: Workspace) -> Bool {
        let heads = attention.layer.shape.heads
        let floats = work.threads * room(count) * partRows + heads * sumRows * cacheRows + attention.tableFloats
        return work.threads > 1 && heads % work.threads == 0 && attention.layer.length.isEven && held == count
            && partRows == layout.padded && floats <= Workspace.mostFloats
    }

    /// - Parameter sideBySide: as headsGoSideBySide() says. The memory of the other way is freed: both are too much.
    func reserve(_ work: Workspace, sideBySide: Bool = false) throws(KVSieveError) {
        let others = work.workers.dropFirst()
        if sideBySide {
            if work.head.logits.capacity > Workspace.mostFloats / work.threads { work.head.logits.release() }
        } else {
            for worker in others { worker.head.logits.release() }
        }
        try reserve(work.head)
        if sideBySide { for worker in others { try reserve(worker.head) } }
        for worker in work.workers {
            if usesBLAS { try worker.matrices.reserve(MatrixProduct.bufferBytes) }
            if !keysAreReadInPlace || usesBLAS { try worker.keyTile.reserve(keyFloats) }
            if keysHavePlaces { try worker.keyPlaces.reserve(tile + Self.keysAhead) }
            if held < count { try worker.logitTile.reserve(tile * partRows) }
        }
    }

    private func reserve(_ buffers: HeadBuffers) throws(KVSieveError) {
        try buffers.queryRows.reserve(packedFloats)
        try buffers.logits.renew(room(held) * partRows)
        try buffers.tileMaxima.reserve((count + 1) * partRows)
        try buffers.tileSums.reserve(count * partRows)
        try buffers.rowWeights.reserve(partRows)
    }

    /// sums[j] += the columns of all rows of one key/value head; a row of sums a query head when the layout pads each.
    /// - Parameter worker: the one whose head it is; nil: all threads share it.
    func addColumns(
        _ head: Int, _ work: Workspace, by worker: WorkerBuffers? = nil, _ sums: UnsafeMutablePointer<Float>
    ) throws(KVSieveError) {
        func forEachTile(from first: Int = 0, _ tileWork: some TileWork) throws(KVSieveError) {
            guard first < count else { return }
            let tiles = TilesFrom(first: first, work: tileWork)
            guard let worker else { return try work.forEach(count - first, tiles) }
            for tile in 0..<(count - first) { try tiles.work(on: tile, with: worker) }
        }
        let out = PointerBox(sums)
        var first = 0
        while first < layout.padded {
            let part = try AttentionPart(
                self, head: head, rows: first..<min(first + partRows, layout.padded), worker?.head ?? work.head, work)
            part.pack()
            try part.exponentials(0, worker ?? work.caller, setsReference: true)
            try forEachTile(from: 1, FirstReading(part: part))
            if part.raisesReference() { try forEachTile(FirstReading(part: part)) }
            part.join()
            try forEachTile(SecondReading(part: part, sums: out))
            first = part.rows.upperBound
        }
    }
}

/// Work on a tile of a head.
private protocol TileWork: Sendable {
    func work(onTile tile: Int, with worker: WorkerBuffers) throws(KVSieveError)
}

private struct TilesFrom<Work: TileWork>: ParallelWork {
    let first: Int
    let work: Work

    func work(on item: Int, with worker: WorkerBuffers) throws(KVSieveError) {
        try work.work(onTile: first + item, with: worker)
    }
}

private struct FirstReading: TileWork {
    let part: AttentionPart

    func work(onTile tile: Int, with worker: WorkerBuffers) throws(KVSieveError) {
        try part.exponentials(tile, worker)
    }
}

private struct SecondReading: TileWork {
    let part: AttentionPart
    let sums: PointerBox<Float>

    func work(onTile tile: Int, with worker: WorkerBuffers) throws(KVSieveError) {
        if tile >= part.tiles.held { try part.exponentials(tile, worker) }
        try part.addColumns(tile, worker, sums.pointer)
    }
}

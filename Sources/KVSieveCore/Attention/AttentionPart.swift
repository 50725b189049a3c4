// Some rows of one key/value head over all tiles: pack the queries, make each tile's exponentials, join the tiles' sums into a
// weight a row, add the weighted columns. See AttentionTiles.

struct AttentionPart: @unchecked Sendable {
    let tiles: AttentionTiles
    let head: Int
    let rows: Range<Int>
    private let packed: UnsafeMutablePointer<Float>
    /// Scale times gain of each row.
    private let factors: UnsafeMutablePointer<Float>
    private let logits: UnsafeMutablePointer<Float>
    /// (tiles, rows) each; after the maxima a row of references.
    private let maxima: UnsafeMutablePointer<Float>
    private let sums: UnsafeMutablePointer<Float>
    private let weights: UnsafeMutablePointer<Float>
    private let softmaxRows: UnsafeMutablePointer<Float>

    /// - Parameter buffers: reserved.
    init(
        _ tiles: AttentionTiles, head: Int, rows: Range<Int>, _ buffers: HeadBuffers, _ work: Workspace
    ) throws(KVSieveError) {
        self.tiles = tiles
        self.head = head
        self.rows = rows
        packed = try buffers.queryRows.reserve(tiles.packedFloats)
        factors = packed + tiles.packedFloats - tiles.partRows
        logits = try buffers.logits.reserve(tiles.room(tiles.held) * tiles.partRows)
        maxima = try buffers.tileMaxima.reserve((tiles.count + 1) * tiles.partRows)
        sums = try buffers.tileSums.reserve(tiles.count * tiles.partRows)
        weights = try buffers.rowWeights.reserve(tiles.partRows)
        softmaxRows = try work.softmaxRows.reserve(2 * tiles.attention.layer.shape.queryHeads * tiles.attention.rows)
    }

    private var attention: WindowAttention { tiles.attention }
    private var lanes: Int { Int(kernels.lanes) }
    private var vectors: Int { rows.count / lanes }
    /// Query rows as floats times scale and gain, in blocks (D, block * lanes) as logit_columns wants them; for BLAS one
    /// block of all rows. For pair_columns two bfloat16 numbers take the place of a float, and scale and gain are in `factors`.
    /// For byte_columns the floats become bytes.
    func pack() {
        let words = tiles.words
        let block = usesBLAS ? vectors : Int(kernels.block)
        let scratch = packed + tiles.partRows * words
        if tiles.usesBytes {
            for r in 0..<rows.count {
                _ = read(rows.lowerBound + r, scratch)
                byteRows.pack(scratch, row: r)
            }
            return
        }
        for r in 0..<rows.count {
            let first = r / lanes / block * block
            let width = min(block, vectors - first) * lanes
            let target = packed + (first * lanes * words + r - first * lanes)
            factors[r] = read(rows.lowerBound + r, scratch)
            for d in 0..<words { target[d &* width] = scratch[d] }
        }
    }

    /// One query row, zeros for padding; returns scale times gain, which is in the row already unless it holds pairs.
    private func read(_ row: Int, _ target: UnsafeMutablePointer<Float>) -> Float {
        guard let source = tiles.layout.source(row) else {
            target.update(repeating: 0, count: tiles.dim)
            return 0
        }
        let shape = attention.layer.shape
        let query = attention.queries.row(head * shape.group + source.head, source.row)
        let factor = shape.scale * attention.gain(source.row)
        if tiles.usesPairs {
            UnsafeMutableRawPointer(target).copyMemory(from: query, byteCount: tiles.words * 4)
        } else {
            attention.queries.type.widen(query, target, tiles.dim)
            for d in 0..<tiles.dim { target[d] *= factor }
        }
        return factor
    }

    private var byteRows: ByteRows { ByteRows(packed, rows: rows.count, dim: tiles.dim) }

    private func memory(_ tile: Int, _ worker: WorkerBuffers) throws(KVSieveError) -> UnsafeMutablePointer<Float> {
        if tile < tiles.held { return logits + tiles.room(tile) * rows.count }
        return try worker.logitTile.reserve(tiles.tile * tiles.partRows)
    }

    /// exp(z - reference) of a tile, with each row's largest logit and sum in this tile.
    /// - Parameter setsReference: the tile's own largest logits become the rows' references.
    func exponentials(_ tile: Int, _ worker: WorkerBuffers, setsReference: Bool = false) throws(KVSieveError) {
        let columns = tiles.columns(tile)
        let out = try memory(tile, worker)
        let highest = maxima + tile * rows.count
        highest.update(repeating: -.infinity, count: rows.count)
        let (floats, stride) = try keys(columns, worker)
        let places = tiles.keysHavePlaces ? try places(columns, worker) : nil
        guard try finiteLogits(floats, stride, places, columns.count, out, highest, worker) else {
            throw KVSieveError(
                .nonfinite,
                "queries or keys of layer \(attention.layer.layer), kv head \(head) have NaN or infinity, or their"
                    + " product overflows")
        }
        mask(columns, out, highest)
        if setsReference { reference.update(from: highest, count: rows.count) }
        kernels.tile_exponentials(
            out, Int64(columns.count), Int64(vectors), Int64(rows.count), reference, sums + tile * rows.count)
    }

    /// m of each row: the largest logit of its first tile.
    private var reference: UnsafeMutablePointer<Float> { maxima + tiles.count * rows.count }

    /// Is a logit so far above its row's reference that exponentials, or sums of them, could overflow? Then the references
    /// become the rows' true maxima, and all tiles must be read again. Hardly ever: exp(60) is 10^26.
    func raisesReference() -> Bool {
        var raises = false
        for r in 0..<rows.count {
            var most = reference[r]
            for tile in 1..<max(tiles.count, 1) { most = max(most, maxima[tile &* rows.count &+ r]) }
            if most - reference[r] > 60 { raises = true }
            weights[r] = most
        }
        if raises { reference.update(from: weights, count: rows.count) }
        return raises
    }

    /// The tile's logits, and in `highest` their maxima; false when one is NaN or infinite.
    private func finiteLogits(
        _ keys: UnsafePointer<Float>, _ stride: Int, _ places: UnsafePointer<Int>?, _ columns: Int,
        _ out: UnsafeMutablePointer<Float>,
        _ highest: UnsafeMutablePointer<Float>, _ worker: WorkerBuffers
    ) throws(KVSieveError) -> Bool {
        let width = Int64(rows.count)
        if usesBLAS {
            let buffer = try worker.matrices.reserve(MatrixProduct.bufferBytes)
            MatrixProduct.multiply(
                keys, rows: tiles.padded(columns), stride: stride, depth: tiles.dim, packed, columns: rows.count,
                into: out,
                buffer: UnsafeMutableRawPointer(buffer))
            return kernels.column_maxima(out, Int64(columns), Int64(vectors), width, highest) == 1
        }
        if tiles.usesBytes, let columnsOfBytes = kernels.byte_columns {
            let tile = ByteKeys(UnsafeMutablePointer(mutating: keys), keys: tiles.tile, dim: tiles.dim)
            return withUnsafePointer(to: byteRows.packed) { packed in
                columnsOfBytes(packed, tile.bytes, tile.scales, Int64(columns), out, width, highest) == 1
            }
        }
        if tiles.usesPairs, let columnsOfPairs = kernels.pair_columns {
            return columnsOfPairs(
                packed, Int64(vectors), keys, Int64(stride), places, Int64(columns), Int64(tiles.words), factors, out,
                width,
                highest) == 1
        }
        return kernels.logit_columns(
            packed, Int64(vectors), keys, Int64(stride), places, Int64(columns), Int64(tiles.dim), out, width, highest)
            == 1
    }

    /// Keys of a tile as floats (or as pairs): where they are, or widened; followed by zeros if the product needs some.
    private func keys(
        _ columns: Range<Int>, _ worker: WorkerBuffers
    ) throws(KVSieveError) -> (UnsafePointer<Float>, stride: Int) {
        let keys = attention.keys
        let padding = tiles.padded(columns.count) - columns.count
        if tiles.keysAreReadInPlace && padding == 0 {
            let first = keys.row(head, columns.lowerBound)
            return (UnsafePointer(first.assumingMemoryBound(to: Float.self)), keys.tokenStride / 4)
        }
        let dim = tiles.dim
        let floats = try worker.keyTile.reserve(tiles.keyFloats)
        var token = columns.lowerBound
        while token < columns.upperBound {
            let run = keys.run(from: token, to: columns.upperBound)
            let source = keys.row(head, token)
            if keys.tokenStride == keys.rowBytes {
                // The processor foresees the rest of a block.
                let next = token + run
                if next < tiles.cacheRows { prefetchLines(keys.row(head, next), bytes: min(run * keys.rowBytes, 2048)) }
                take(source, run, at: token - columns.lowerBound, floats)
            } else {
                for j in 0..<run {
                    let later = token + j + 8
                    if later < tiles.cacheRows { prefetchLines(keys.row(head, later), bytes: keys.rowBytes) }
                    take(source + j * keys.tokenStride, 1, at: token - columns.lowerBound + j, floats)
                }
            }
            token += run
        }
        if padding > 0 { (floats + columns.count * dim).update(repeating: 0, count: padding * dim) }
        return (UnsafePointer(floats), dim)
    }

    /// Rows that follow each other become keys `first` and so on of a tile: floats, or bytes and their scales.
    private func take(_ source: UnsafeRawPointer, _ rows: Int, at first: Int, _ tile: UnsafeMutablePointer<Float>) {
        if tiles.usesBytes {
            ByteKeys(tile, keys: tiles.tile, dim: tiles.dim).take(source, rows: rows, at: first)
        } else {
            attention.keys.type.widen(source, tile + first * tiles.dim, rows * tiles.dim)
        }
    }

    /// Where the keys of a tile are, and some after them, in floats from the tile's first.
    private func places(_ columns: Range<Int>, _ worker: WorkerBuffers) throws(KVSieveError) -> UnsafePointer<Int> {
        let keys = attention.keys
        let places = try worker.keyPlaces.reserve(tiles.tile + AttentionTiles.keysAhead)
        let first = keys.row(head, columns.lowerBound)
        for j in 0..<(columns.count + AttentionTiles.keysAhead) {
            let token = min(columns.lowerBound + j, tiles.cacheRows - 1)
            places[j] = (keys.row(head, token) - first) / 4
        }
        return UnsafePointer(places)
    }

    /// Causality inside the last W columns: row i does not see j > T - W + i. Most tiles have none of them.
    private func mask(_ columns: Range<Int>, _ out: UnsafeMutablePointer<Float>, _ highest: UnsafeMutablePointer<Float>)
    {
        let first = tiles.cacheRows - attention.rows
        guard columns.upperBound > first + 1 else { return }
        for r in 0..<rows.count {
            guard let source = tiles.layout.source(rows.lowerBound + r) else { continue }
            var column = max(columns.lowerBound, first + source.row + 1)
            while column < columns.upperBound {
                out[(column - columns.lowerBound) * rows.count + r] = -.infinity
                column += 1
            }
        }
        // Maxima without them; that some are infinite now is as it should be.
        highest.update(repeating: -.infinity, count: rows.count)
        _ = kernels.column_maxima(out, Int64(columns.count), Int64(vectors), Int64(rows.count), highest)
    }

    /// weights[r] = 1 / sum_row, 0 for padding.
    func join() {
        let width = rows.count
        for r in 0..<width {
            var sum = 0.0
            for tile in 0..<tiles.count { sum += Double(sums[tile &* width &+ r]) }
            weights[r] = 0
            guard let source = tiles.layout.source(rows.lowerBound + r) else { continue }
            weights[r] = Float(1 / sum)
            let group = attention.layer.shape.group
            let place = softmaxRows + 2 * ((head * group + source.head) * attention.rows + source.row)
            place[0] = reference[r]
            place[1] = weights[r]
        }
    }

    /// Adds a tile's weighted columns to `target`: one run of rows for the group, or one a query head.
    func addColumns(
        _ tile: Int, _ worker: WorkerBuffers, _ target: UnsafeMutablePointer<Float>
    ) throws(KVSieveError) {
        let columns = tiles.columns(tile)
        let source = try memory(tile, worker)
        let perHead = tiles.layout.padsEachHead
        var r = 0
        while r < rows.count {
            let queryHead = (rows.lowerBound + r) / tiles.layout.headStride
            let run =
                perHead
                ? min(rows.count - r, (queryHead + 1) * tiles.layout.headStride - rows.lowerBound - r) : rows.count
            kernels.weighted_columns(
                source + r, Int64(columns.count), Int64(run / lanes), Int64(rows.count),
                weights + r,
                target + (perHead ? queryHead * tiles.cacheRows : 0) + columns.lowerBound)
            r += run
        }
    }
}

// The kernels of one layer's scores in the order and on the sizes of AttentionTiles, with the clock read between them. Not
// timed: packing queries, masking the last tile, joining the tiles' maxima.
import CSupport
import KVSieveCore

/// CPU seconds of each stage in one layer.
struct StageTimes {
    var widen = 0.0
    var product = 0.0
    var exponentials = 0.0
    var sums = 0.0
    var pool = 0.0
}

final class StageWork {
    /// As AttentionTiles has it.
    static let tile = 384
    private let shape: ModelShape
    private let tokens: Int
    private let rows: Int
    private let tiles: Int
    /// Queries as floats, and as pairs of bfloat16 with a factor a row.
    private let packed: Memory
    private let packedPairs: Memory
    private let factors: Memory
    private let logits: Memory
    private let widened: Memory
    /// (tiles, rows) each.
    private let maxima: Memory
    private let tileSums: Memory
    private let weights: Memory
    private let columns: Memory
    private let unpooled: Memory
    private let blasBuffer: Memory

    init(_ shape: ModelShape, tokens: Int) throws {
        self.shape = shape
        self.tokens = tokens
        rows = shape.group * LayerMemory.window
        tiles = (tokens + Self.tile - 1) / Self.tile
        packed = try Memory(rows * shape.headDim, seed: 31)
        packedPairs = try Memory(rows * shape.headDim, .bfloat16, seed: 31)
        factors = try Memory(rows, seed: 39)
        logits = try Memory(tiles * Self.tile * rows, seed: 32)
        widened = try Memory(Self.tile * shape.headDim, seed: 33)
        maxima = try Memory(tiles * rows, seed: 34)
        tileSums = try Memory(tiles * rows, seed: 35)
        weights = try Memory(tiles * rows, seed: 36)
        columns = try Memory(tokens, seed: 37)
        unpooled = try Memory(SUPPORT_POOL_BLOCK + 7, seed: 38)
        blasBuffer = try Memory(MatrixProduct.bufferBytes / 4, seed: 1)
    }

    func run(_ keys: TensorView) -> StageTimes {
        var times = StageTimes()
        for head in 0..<keys.heads {
            for tile in 0..<tiles { exponentials(keys, head, tile, &times) }
            let begin = Instant.processor()
            columns.floats.update(repeating: 0, count: tokens)
            for tile in 0..<tiles {
                kernels.weighted_columns(
                    logits.floats + tile * Self.tile * rows, Int64(count(tile)), vectors, Int64(rows),
                    weights.floats + tile * rows, columns.floats + tile * Self.tile)
            }
            let summed = Instant.processor()
            for j in 0..<tokens { columns.floats[j] *= 0.25 }
            kernels.pool_mean(columns.floats, Int64(tokens), 7, unpooled.floats)
            times.sums += summed - begin
            times.pool += Instant.processor() - summed
        }
        return times
    }

    private var vectors: Int64 { Int64(rows / Int(kernels.lanes)) }
    private func count(_ tile: Int) -> Int { min(Self.tile, tokens - tile * Self.tile) }

    /// Keys in bfloat16 are multiplied as they are where the processor can.
    private func usesPairs(_ type: ElementType) -> Bool { type == .bfloat16 && kernels.pair_columns != nil }
    func widens(_ type: ElementType) -> Bool { type != .float32 && !usesPairs(type) }

    private func exponentials(_ keys: TensorView, _ head: Int, _ tile: Int, _ times: inout StageTimes) {
        let first = keys.row(head, tile * Self.tile)
        let numbers = Int64(count(tile) * keys.dim)
        let begin = Instant.processor()
        var floats = UnsafePointer(first.assumingMemoryBound(to: Float.self))
        if widens(keys.type) {
            let halves = first.assumingMemoryBound(to: UInt16.self)
            if keys.type == .float16 { kernels.widen_f16(halves, widened.floats, numbers) }
            if keys.type == .bfloat16 { kernels.widen_bf16(halves, widened.floats, numbers) }
            floats = UnsafePointer(widened.floats)
        }
        let ready = Instant.processor()
        let out = logits.floats + tile * Self.tile * rows
        let highest = maxima.floats + tile * rows
        highest.update(repeating: -.infinity, count: rows)
        multiply(floats, usesPairs(keys.type), count(tile), out, highest)
        let multiplied = Instant.processor()
        kernels.tile_exponentials(
            out, Int64(count(tile)), vectors, Int64(rows), highest, tileSums.floats + tile * rows)
        times.widen += ready - begin
        times.product += multiplied - ready
        times.exponentials += Instant.processor() - multiplied
    }

    /// By the BLAS where the library does so.
    private func multiply(
        _ keys: UnsafePointer<Float>, _ pairs: Bool, _ count: Int, _ out: UnsafeMutablePointer<Float>,
        _ highest: UnsafeMutablePointer<Float>
    ) {
        let dim = shape.headDim
        let (width, columns) = (Int64(rows), Int64(count))
        if pairs, let pairColumns = kernels.pair_columns {
            let words = Int64(dim / 2)
            _ = pairColumns(
                packedPairs.floats, vectors, keys, words, nil, columns, words, factors.floats, out, width, highest)
        } else if usesBLAS {
            MatrixProduct.multiply(
                keys, rows: count, stride: dim, depth: dim, packed.floats, columns: rows, into: out,
                buffer: blasBuffer.start)
            _ = kernels.column_maxima(out, columns, vectors, width, highest)
        } else {
            _ = kernels.logit_columns(
                packed.floats, vectors, keys, Int64(dim), nil, columns, Int64(dim), out, width, highest)
        }
    }
}

// The buffers of the plan's threads, by name of use: no two uses share one at the same time.

/// Buffers for the attention of one key/value head: see AttentionTiles.
final class HeadBuffers: Sendable {
    let queryRows: Buffer<Float>
    let logits: Buffer<Float>
    let tileMaxima: Buffer<Float>
    let tileSums: Buffer<Float>
    let rowWeights: Buffer<Float>

    init(_ account: MemoryAccount) {
        queryRows = Buffer(account)
        logits = Buffer(account)
        tileMaxima = Buffer(account)
        tileSums = Buffer(account)
        rowWeights = Buffer(account)
    }
}

/// The buffers of one worker.
final class WorkerBuffers: Sendable {
    /// For a head that this worker has to itself.
    let head: HeadBuffers
    /// A tile of keys as floats.
    let keyTile: Buffer<Float>
    /// Where the keys of a tile are, in floats from the first.
    let keyPlaces: Buffer<Int>
    /// One row of values, or of keys, as floats.
    let oneRow: Buffer<Float>
    /// Cosines and sines by which a row of keys is turned.
    let angles: Buffer<Double>
    /// Logits of a tile that is not held for the second reading; of the prompt's rows over a tile of kept keys.
    let logitTile: Buffer<Float>
    /// A row of attention that the engine gave, as floats and as exponentials.
    let attentionRow: Buffer<Float>
    /// Numbers of a row as they were before they are pooled.
    let pooledNumbers: Buffer<Float>
    /// Query rows of a group as floats, while decoding and for its beginning.
    let packedQueries: Buffer<Float>
    /// Exponentials, newest row and totals of a step: see DecodingLayer.
    let stepRows: Buffer<Float>
    /// The row of each slot before the moves of a step are made.
    let standing: Buffer<Int32>
    /// Columns with the largest numbers.
    let bestColumns: Buffer<Int32>
    /// Their numbers, and how much of the attention they have.
    let bestScores: Buffer<Float>
    let bestShares: Buffer<Double>
    let histogram: Buffer<Int>

    init(_ account: MemoryAccount) {
        head = HeadBuffers(account)
        keyTile = Buffer(account)
        keyPlaces = Buffer(account)
        oneRow = Buffer(account)
        angles = Buffer(account)
        logitTile = Buffer(account)
        attentionRow = Buffer(account)
        pooledNumbers = Buffer(account)
        packedQueries = Buffer(account)
        stepRows = Buffer(account)
        standing = Buffer(account)
        bestColumns = Buffer(account)
        bestScores = Buffer(account)
        bestShares = Buffer(account)
        histogram = Buffer(account)
    }
}

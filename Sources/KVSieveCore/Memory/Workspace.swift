// What a layer is worked on with: the plan's threads, and buffers that the calling thread reserves before the others begin,
// kept and used again for the next layer.

/// What one key/value head is worked on with: see AttentionTiles.
final class HeadBuffers: Sendable {
    let queryRows: Buffer<Float>
    let logits: Buffer<Float>
    let tileMaxima: Buffer<Float>
    let tileSums: Buffer<Float>
    let tileWeights: Buffer<Float>

    init(_ account: MemoryAccount) {
        queryRows = Buffer(account)
        logits = Buffer(account)
        tileMaxima = Buffer(account)
        tileSums = Buffer(account)
        tileWeights = Buffer(account)
    }
}

/// The buffers of one worker.
final class WorkerBuffers: Sendable {
    /// For a head that is this worker's alone.
    let head: HeadBuffers
    /// A tile of keys as floats, or one row of values.
    let keyTile: Buffer<Float>
    /// Logits of a tile that is not held for the second reading.
    let logitTile: Buffer<Float>
    /// One row over all tokens.
    let row: Buffer<Float>
    /// What BLAS packs in, where it is used.
    let matrices = AddressSpace()
    let ranks: Buffer<Int32>
    let histogram: Buffer<Int>

    init(_ account: MemoryAccount) {
        head = HeadBuffers(account)
        keyTile = Buffer(account)
        logitTile = Buffer(account)
        row = Buffer(account)
        ranks = Buffer(account)
        histogram = Buffer(account)
    }
}

public final class Workspace: @unchecked Sendable {
    public let account: MemoryAccount
    public let threads: Int
    /// The calling thread's buffers; it is the first of the workers.
    let caller: WorkerBuffers
    let workers: [WorkerBuffers]
    /// A layer's intermediate numbers, (H, n): semantic vectors, window sums.
    public let intermediate: LayerScores
    let results: ResultMemory
    /// What the workers share while they are on one head: the caller's.
    var head: HeadBuffers { caller.head }
    let columns: Buffer<Float>
    /// One a row of the window.
    let gains: Buffer<Float>
    /// Sums over a layer's heads, in double.
    let headSums: Buffer<Double>
    /// Two counts a head, while what the heads keep is chosen.
    let headCounts: Buffer<Int>
    /// Two counts a layer, while layers share a budget.
    let layerCounts: Buffer<Int>
    /// Maximum and 1/sum of every row of the softmax that WindowAttention made last, (Hq, W, 2).
    let rowStatistics: Buffer<Float>
    /// Whose they are: what a decoding sequence begins with need not be computed twice.
    var statistics: Statistics?
    private var pool: ThreadPool?

    public init(threads: Int, account: MemoryAccount = MemoryAccount()) {
        self.account = account
        self.threads = threads
        let caller = WorkerBuffers(account)
        self.caller = caller
        workers = (0..<threads).map { $0 == 0 ? caller : WorkerBuffers(account) }
        intermediate = LayerScores(account)
        results = ResultMemory(account)
        columns = Buffer(account)
        gains = Buffer(account)
        headSums = Buffer(account)
        headCounts = Buffer(account)
        layerCounts = Buffer(account)
        rowStatistics = Buffer(account)
    }

    /// Work on each of 0 ..< items once, on the plan's threads. When several fail, the lowest item's error is thrown:
    /// which thread was faster does not show.
    func forEach(_ items: Int, _ work: some Piecework) throws(KVSieveError) {
        if threads == 1 || items == 1 {
            for item in 0..<items { try work.work(on: item, with: caller) }
        } else {
            try currentPool().run(items, workers, work)
        }
    }

    private func currentPool() throws(KVSieveError) -> ThreadPool {
        if let pool { return pool }
        guard let made = ThreadPool(threads) else {
            throw KVSieveError(.memory, "out of memory: no room for \(threads) threads")
        }
        pool = made
        return made
    }
}

// The plan's threads, and the memory for work on a layer. The calling thread reserves it before the others begin; it is kept and
// used again for the next layer. Every piece has the name of its use.

public final class Workspace: @unchecked Sendable {
    /// Most floats of logits held at once, and of what else shares their memory: 25 MiB.
    static let mostFloats = 25 << 18

    public let account: MemoryAccount
    public let threads: Int
    /// The calling thread's buffers; it is the first of the workers.
    let caller: WorkerBuffers
    let workers: [WorkerBuffers]
    /// Shared by the workers while they work on one head: the caller's.
    var head: HeadBuffers { caller.head }
    let selections: SelectionMemory
    /// Do other ranks have heads of the layers?
    var splitsHeads = false

    // MARK: - Of a layer's attention

    /// One a row of the window.
    let gains: Buffer<Float>
    /// Maximum and 1/sum of every softmax row of the window, (Hq, W, 2).
    let softmaxRows: Buffer<Float>
    /// Column sums over all rows of the prompt, (H, n), before a method changes them.
    let allRowSums: TableMemory
    /// Column sums of one key/value head's query heads, or of all where threads take heads side by side.
    let queryHeadColumns: TableMemory
    /// Which of the two above hold numbers of the layer that is observed: decoding begins with them and need not compute them
    /// again.
    var holdsSoftmaxRows = false
    var holdsAllRowSums = false
    /// Floats of the tables beside its scores that the layer's method has made so far: its logits have so many fewer.
    var tableFloats = 0

    // MARK: - Tables of a method, (H, n) or (H, Dv)

    /// Of a layer that is not scored.
    let unscored: TableMemory
    let valueNorms: TableMemory
    let keyMeasures: TableMemory
    let vectors: TableMemory
    let noise: TableMemory
    let distances: Buffer<Float>
    let distanceSquares: Buffer<Double>
    let meanKey: Buffer<Double>

    // MARK: - While layers and heads share a budget, and rows are chosen

    /// Two counts a head.
    let headCounts: Buffer<Int>
    /// Two counts a layer, or a head.
    let places: Buffer<Int>

    // MARK: - While decoding

    /// Logits of a step, (Hq, m, n), and what is known of its tokens once they are checked.
    let stepLogits: Buffer<Float>
    let checkedLogits: Buffer<Float>

    private var pool: ThreadPool?

    public init(threads: Int, account: MemoryAccount = MemoryAccount()) {
        self.account = account
        self.threads = threads
        let caller = WorkerBuffers(account)
        self.caller = caller
        workers = (0..<threads).map { $0 == 0 ? caller : WorkerBuffers(account) }
        selections = SelectionMemory(account)
        gains = Buffer(account)
        softmaxRows = Buffer(account)
        allRowSums = TableMemory(account)
        queryHeadColumns = TableMemory(account)
        unscored = TableMemory(account)
        valueNorms = TableMemory(account)
        keyMeasures = TableMemory(account)
        vectors = TableMemory(account)
        noise = TableMemory(account)
        distances = Buffer(account)
        distanceSquares = Buffer(account)
        meanKey = Buffer(account)
        headCounts = Buffer(account)
        places = Buffer(account)
        stepLogits = Buffer(account)
        checkedLogits = Buffer(account)
    }

    /// Forgets that buffers hold numbers of an earlier layer.
    func beginLayer(splitsHeads: Bool = false) {
        self.splitsHeads = splitsHeads
        holdsSoftmaxRows = false
        holdsAllRowSums = false
        tableFloats = 0
    }

    /// Work on each of 0 ..< items once, on the plan's threads. When several fail, the lowest item's error is thrown:
    /// the result does not show which thread was faster.
    func forEach(_ items: Int, _ work: some ParallelWork) throws(KVSieveError) {
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

/// Memory that several workers write, each its own part.
struct PointerBox<Element>: @unchecked Sendable {
    let pointer: UnsafeMutablePointer<Element>
    init(_ pointer: UnsafeMutablePointer<Element>) { self.pointer = pointer }
}

// What the heads of a layer are worked on with: the plan's threads, and for each of them a set of buffers that is reserved
// by the calling thread before the others begin, kept, and used again for the next layer.
import CSupport

/// The buffers of one worker. Sizes: WindowAttention.reserve and BestUnits.
final class WorkerBuffers: Sendable {
    let queryRows: Buffer<Float>
    let keyTile: Buffer<Float>
    let logits: Buffer<Float>
    let tileMaxima: Buffer<Float>
    let tileSums: Buffer<Float>
    let tileWeights: Buffer<Float>
    let columns: Buffer<Float>
    let row: Buffer<Float>
    let ranks: Buffer<Int32>
    let histogram: Buffer<Int>

    init(_ account: MemoryAccount) {
        queryRows = Buffer(account)
        keyTile = Buffer(account)
        logits = Buffer(account)
        tileMaxima = Buffer(account)
        tileSums = Buffer(account)
        tileWeights = Buffer(account)
        columns = Buffer(account)
        row = Buffer(account)
        ranks = Buffer(account)
        histogram = Buffer(account)
    }
}

public final class Workspace: @unchecked Sendable {
    public let account: MemoryAccount
    public let threads: Int
    let workers: [WorkerBuffers]
    /// A layer's intermediate numbers, (H, n): semantic vectors, window sums.
    public let intermediate: LayerScores
    private var pool: OpaquePointer?

    public init(threads: Int, account: MemoryAccount = MemoryAccount()) {
        self.account = account
        self.threads = threads
        intermediate = LayerScores(account)
        workers = (0..<threads).map { _ in WorkerBuffers(account) }
    }

    deinit { support_pool_destroy(pool) }

    /// Work on each of 0 ..< items once, on the plan's threads. When several fail, the lowest item's error is thrown:
    /// which thread was faster does not show.
    func forEach(
        _ items: Int, _ body: @escaping @Sendable (_ item: Int, _ worker: WorkerBuffers) throws(KVSieveError) -> Void
    ) throws(KVSieveError) {
        if threads == 1 || items == 1 {
            guard let worker = workers.first else { return }
            for item in 0..<items { try body(item, worker) }
            return
        }
        if pool == nil {
            pool = support_pool_create(Int32(truncatingIfNeeded: threads))
            if pool == nil { throw KVSieveError(.memory, "out of memory: no room for \(threads) threads") }
        }
        guard let pool else { return }
        let job = Job(items: items, workers: workers, body: body)
        support_pool_run(
            pool, Int32(truncatingIfNeeded: items),
            { context, item, worker in
                Unmanaged<Job>.fromOpaque(context).takeUnretainedValue().run(Int(item), Int(worker))
            }, Unmanaged.passUnretained(job).toOpaque())
        if let error = job.lowestError { throw error }
    }
}

/// One run over the items; errors wait in a place of their own each.
private final class Job: @unchecked Sendable {
    private let items: Int
    private let workers: [WorkerBuffers]
    private let body: @Sendable (Int, WorkerBuffers) throws(KVSieveError) -> Void
    private let errors: UnsafeMutablePointer<KVSieveError?>

    init(
        items: Int, workers: [WorkerBuffers],
        body: @escaping @Sendable (Int, WorkerBuffers) throws(KVSieveError) -> Void
    ) {
        self.items = items
        self.workers = workers
        self.body = body
        errors = .allocate(capacity: items)
        errors.initialize(repeating: nil, count: items)
    }

    deinit {
        errors.deinitialize(count: items)
        errors.deallocate()
    }

    func run(_ item: Int, _ worker: Int) {
        do throws(KVSieveError) { try body(item, workers[worker]) } catch { errors[item] = error }
    }

    var lowestError: KVSieveError? {
        for item in 0..<items {
            if let error = errors[item] { return error }
        }
        return nil
    }
}

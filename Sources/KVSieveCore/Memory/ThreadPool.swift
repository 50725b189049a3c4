// The threads of one plan, started when they are first needed. A run allocates nothing: what it needs is on the caller's stack.

import CSupport

final class ThreadPool: @unchecked Sendable {
    private let pool: OpaquePointer
    /// Held while a failed item is written down.
    private let lock: OpaquePointer

    /// Nil when out of memory.
    init?(_ threads: Int) {
        guard let lock = support_lock_create() else { return nil }
        guard let pool = support_pool_create(Int32(truncatingIfNeeded: threads)) else {
            support_lock_destroy(lock)
            return nil
        }
        self.lock = lock
        self.pool = pool
    }

    deinit {
        support_pool_destroy(pool)
        support_lock_destroy(lock)
    }

    /// body(item, a worker's buffers) for each of 0 ..< items. When several fail, the lowest item's error is thrown.
    func run(
        _ items: Int, _ workers: [WorkerBuffers],
        _ body: @Sendable (_ item: Int, _ worker: WorkerBuffers) throws(KVSieveError) -> Void
    ) throws(KVSieveError) {
        try withoutActuallyEscaping(body) { (body) throws(KVSieveError) in
            var job = Job(workers: workers, lock: lock, body: body)
            withUnsafeMutablePointer(to: &job) {
                support_pool_run(
                    pool, Int32(truncatingIfNeeded: items),
                    { context, item, worker in
                        Job.run(context.assumingMemoryBound(to: Job.self), Int(item), Int(worker))
                    }, $0)
            }
            if let error = job.error { throw error }
        }
    }
}

/// One run over the items.
private struct Job {
    let workers: [WorkerBuffers]
    let lock: OpaquePointer
    let body: @Sendable (Int, WorkerBuffers) throws(KVSieveError) -> Void
    /// The lowest item that failed, and how.
    var failed = Int.max
    var error: KVSieveError?

    static func run(_ job: UnsafeMutablePointer<Job>, _ item: Int, _ worker: Int) {
        do throws(KVSieveError) { try job.pointee.body(item, job.pointee.workers[worker]) } catch {
            support_lock(job.pointee.lock)
            if item < job.pointee.failed {
                job.pointee.failed = item
                job.pointee.error = error
            }
            support_unlock(job.pointee.lock)
        }
    }
}

// The threads of one plan, started when they are first needed. A run allocates nothing: its state is on the caller's stack.

import CSupport

final class ThreadPool: @unchecked Sendable {
    private let pool: OpaquePointer
    /// Held while a failed item is recorded.
    private let lock: OpaquePointer

    /// Nil if there was no memory.
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

    /// Each of 0 ..< items once, with a worker's buffers. When several fail, the lowest item's error is thrown.
    func run<Work: ParallelWork>(_ items: Int, _ workers: [WorkerBuffers], _ work: Work) throws(KVSieveError) {
        let error = withUnsafePointer(to: work) { work -> KVSieveError? in
            var job = Job(workers: workers, lock: lock, work: PointedWork(pointer: work))
            withUnsafeMutablePointer(to: &job) {
                support_pool_run(
                    pool, Int32(truncatingIfNeeded: items),
                    { context, item, worker in
                        Job.run(context.assumingMemoryBound(to: Job.self), Int(item), Int(worker))
                    }, $0)
            }
            return job.error
        }
        if let error { throw error }
    }
}

/// One run over the items.
private struct Job {
    let workers: [WorkerBuffers]
    let lock: OpaquePointer
    /// PointedWork.
    let work: any ParallelWork
    /// The lowest item that failed, and how.
    var failed = Int.max
    var error: KVSieveError?

    static func run(_ job: UnsafeMutablePointer<Job>, _ item: Int, _ worker: Int) {
        do throws(KVSieveError) { try job.pointee.work.work(on: item, with: job.pointee.workers[worker]) } catch {
            support_lock(job.pointee.lock)
            if item < job.pointee.failed {
                job.pointee.failed = item
                job.pointee.error = error
            }
            support_unlock(job.pointee.lock)
        }
    }
}

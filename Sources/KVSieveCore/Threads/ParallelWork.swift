// Work for the plan's threads, an item at a time. It is a value and not a closure: a closure that other threads call is copied to
// the heap, a value is not copied from the caller's stack.

protocol ParallelWork: Sendable {
    /// - Parameter worker: used by this item alone during the call.
    func work(on item: Int, with worker: WorkerBuffers) throws(KVSieveError)
}

/// ParallelWork on the caller's stack. Of one word, so that `any ParallelWork` holds it without memory of its own.
struct PointedWork<Work: ParallelWork>: ParallelWork, @unchecked Sendable {
    let pointer: UnsafePointer<Work>

    func work(on item: Int, with worker: WorkerBuffers) throws(KVSieveError) {
        try pointer.pointee.work(on: item, with: worker)
    }
}

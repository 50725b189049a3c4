// What a plan keeps, said and copied. These calls may be made by several threads at the same time; the plan's lock is held while
// something is made that the plan will own.

import CSupport

extension Plan {
    /// What an observed layer keeps: may still shrink before finish.
    public func kept(layer: Int) throws(KVSieveError) -> Selection {
        try checkLayer(layer)
        // The first call for a layer whose budget changed makes its selection; calls at the same time wait.
        support_lock(lock)
        defer { support_unlock(lock) }
        return try selection(layer)
    }

    public func gather(layer: Int, source: TensorView, target: TensorView) throws(KVSieveError) {
        try Gather.rows(of: source, by: gathered(layer), to: target, alignment)
    }

    /// gather() that turns keys: the rows of a head are then at positions 0, 1, 2, ...
    public func gather(layer: Int, source: TensorView, target: TensorView, _ rope: Rope) throws(KVSieveError) {
        let selection = try gathered(layer)
        // The plan's threads and their buffers do one call's work at a time.
        support_lock(lock)
        defer { support_unlock(lock) }
        try RotatedGather.rows(of: source, by: selection, to: target, rope, currentWorkspace(), alignment)
    }

    /// What a gather copies.
    private func gathered(_ layer: Int) throws(KVSieveError) -> Selection {
        try checkLayer(layer)
        if case .prefill = phase { throw KVSieveError(.state, "gather of layer \(layer) came before finish") }
        let kept = try kept(layer: layer)
        if case .decoding(let decoding) = phase, decoding.seen(byLayer: layer) != kept.frame.length.seen {
            throw KVSieveError(
                .state,
                "gather of layer \(layer) came after step; it copies what the prompt keeps, and slots are others now")
        }
        return kept
    }

    /// The bounds of the ranges of positions that a head keeps, or has dropped; while the plan decodes, those in its slots.
    public func ranges(layer: Int, head: Int, dropped: Bool) throws(KVSieveError) -> UnsafeBufferPointer<Int32> {
        try checkLayer(layer)
        try checkHead(head)
        support_lock(lock)
        defer { support_unlock(lock) }
        if case .decoding(let decoding) = phase {
            return try rangePool.ranges(layer, heads: shape.heads, of: decoding).of(head, missing: dropped)
        }
        return try rangePool.ranges(layer, of: selection(layer)).of(head, missing: dropped)
    }

    /// Runs `body` while no other thread makes anything that the plan owns.
    public func locked(_ body: () -> Void) {
        support_lock(lock)
        defer { support_unlock(lock) }
        body()
    }

    /// The lock is held by the caller.
    func selection(_ layer: Int) throws(KVSieveError) -> Selection {
        guard layer < current.layers.count else {
            throw KVSieveError(
                .state, "layer \(layer) was not observed yet; \(current.layers.count) layers were")
        }
        var origins: RowOrigins?
        var waits = false
        if case .prefill(let caches) = phase {
            origins = caches?.origins(layer)
            waits = sharing == .layers || joined != nil
        }
        return try current.select(layer, from: origins, waits: waits, currentWorkspace())
    }

    // MARK: - Bounds

    func checkLayer(_ layer: Int) throws(KVSieveError) {
        guard (0..<shape.layers).contains(layer) else {
            throw KVSieveError(.shape, "layer is \(layer); expected 0 ... \(shape.layers - 1)")
        }
    }

    func checkHead(_ head: Int) throws(KVSieveError) {
        guard (0..<shape.heads).contains(head) else {
            throw KVSieveError(.shape, "head is \(head); expected 0 ... \(shape.heads - 1)")
        }
    }
}

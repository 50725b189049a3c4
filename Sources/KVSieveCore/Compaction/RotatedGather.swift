// Kept rows of `source` (H, T, D) to `target`, as Gather moves them, and turned so that the rows of a head are at positions
// 0, 1, 2, ... Each row is turned once, from the source, in double; each number is rounded once.

public enum RotatedGather {
    /// - Parameters:
    ///   - source: of floats of 16 or 32 bits.
    ///   - target, alignment: as of Gather.rows; in place too.
    ///   - work: its threads take a head each.
    public static func rows(
        of source: TensorView, by selection: Selection, to target: TensorView, _ rope: Rope, _ work: Workspace,
        _ alignment: Alignment = .begin
    ) throws(KVSieveError) {
        guard source.type.isFloat else {
            throw KVSieveError(
                .dtype, "source.dtype is \(source.type.name), whose rows are not rotated; expected F32, F16 or BF16")
        }
        try Gather.check(source, selection, target)
        for worker in work.workers {
            try worker.oneRow.reserve(source.dim)
            try worker.angles.reserve(2 * rope.pairs)
        }
        try work.forEach(
            source.heads,
            HeadRotation(
                source: source, selection: selection, target: target, rope: rope, alignment: alignment,
                rises: alignment == .end && target.coincides(with: source)))
    }
}

private struct HeadRotation: ParallelWork {
    let source: TensorView
    let selection: Selection
    let target: TensorView
    let rope: Rope
    let alignment: Alignment
    /// May rows move to a later row, which is then still to be read? See Gather.
    let rises: Bool

    func work(on head: Int, with worker: WorkerBuffers) throws(KVSieveError) {
        let row = try worker.oneRow.reserve(source.dim)
        let angles = try worker.angles.reserve(2 * rope.pairs)
        let begin = Int(selection.offsets[head])
        let (targetHead, first) = Gather.first(of: head, selection, source, target, alignment)
        let rising = rises ? Gather.rising(head, selection, to: first) : 0
        let positions = rope.positions == .absolute ? selection.positions : selection.rows
        let origin = rope.positions == .absolute ? 0 : selection.frame.length.first(head)
        // Rows that move by nothing are copied bit for bit.
        var distance = 0
        for step in 0..<selection.count(head) {
            let index = step < rising ? rising &- 1 &- step : step
            let from = source.row(head, Int(selection.rows[begin &+ index]))
            let to = target.row(targetHead, first &+ index)
            if from != to { to.copyMemory(from: from, byteCount: source.rowBytes) }
            let own = index &- (Int(positions[begin &+ index]) &- origin)
            if own == 0 { continue }
            // Rows that were neighbours move by the same distance.
            if own != distance {
                rope.angles(own, angles)
                distance = own
            }
            source.type.widen(to, row, source.dim)
            turn(row, angles, to)
        }
    }

    /// The rotated part of a row. Of other types none comes here.
    private func turn(
        _ row: UnsafePointer<Float>, _ angles: UnsafePointer<Double>, _ target: UnsafeMutableRawPointer
    ) {
        switch source.type {
        case .float32: turn(row, angles, target, Rounding.float32)
        case .float16: turn(row, angles, target, Rounding.float16)
        case .bfloat16: turn(row, angles, target, Rounding.bfloat16)
        case .bytes, .float8e4m3, .float8e5m2, .q8, .q4: return
        }
    }

    @inline(__always)
    private func turn<Bits>(
        _ row: UnsafePointer<Float>, _ angles: UnsafePointer<Double>, _ target: UnsafeMutableRawPointer,
        _ rounded: (Double) -> Bits
    ) {
        let target = target.assumingMemoryBound(to: Bits.self)
        let pairs = rope.pairs
        let apart = rope.apart
        for pair in 0..<pairs {
            let place = rope.place(pair)
            let (x, y) = (Double(row[place]), Double(row[place &+ apart]))
            let (cosine, sine) = (angles[pair], angles[pairs &+ pair])
            target[place] = rounded(x * cosine - y * sine)
            target[place &+ apart] = rounded(x * sine + y * cosine)
        }
    }
}

// The rows that each head of a layer keeps: sinks, the tokens of its best units and of the protected ones, recent. Heads go to
// any thread.

struct HeadChoice: ParallelWork, @unchecked Sendable {
    let frame: Frame
    /// Nil when nothing competes, or nothing was scored: of equals the first are kept.
    let scores: LayerScores?
    /// Of each head, no more than compete in its frame.
    let units: UnsafePointer<Int>
    /// Where in `rows` each head begins.
    let starts: UnsafePointer<Int>
    /// Out: how many rows each head keeps.
    let lengths: UnsafeMutablePointer<Int64>
    let rows: UnsafeMutablePointer<Int32>

    func work(on head: Int, with worker: WorkerBuffers) throws(KVSieveError) {
        let frame = frame.of(head)
        let count = units[head]
        let out = rows + starts[head]
        var written = 0
        func put(_ range: Range<Int>) {
            for row in range {
                out[written] = Int32(truncatingIfNeeded: row)
                written &+= 1
            }
        }
        if count == frame.competing {
            put(0..<frame.rows)
        } else {
            // The best units are at the end of the head's room: each is read before a row is written over it.
            let best = out + (frame.certain + count * frame.unit - count)
            try chooseUnits(head, frame, worker, best)
            put(0..<frame.sinks)
            var taken = 0
            if frame.unit == 1 && frame.protectedUnits == 0 {
                // A unit is a row, and moves to its place.
                let (first, target) = (Int32(truncatingIfNeeded: frame.sinks), out + written)
                for index in 0..<count { target[index] = best[index] &+ first }
                (taken, written) = (count, written &+ count)
            }
            func putBest(before end: Int) {
                while taken < count, Int(best[taken]) < end {
                    put(frame.positions(ofUnit: Int(best[taken])))
                    taken += 1
                }
            }
            frame.forEachProtected { units in
                putBest(before: units.lowerBound)
                for unit in units { put(frame.positions(ofUnit: unit)) }
            }
            putBest(before: frame.units)
            put((frame.rows - frame.recent)..<frame.rows)
        }
        lengths[head] = Int64(written)
    }

    private func chooseUnits(
        _ head: Int, _ frame: Frame, _ worker: WorkerBuffers, _ out: UnsafeMutablePointer<Int32>
    ) throws(KVSieveError) {
        guard let scores, scores.table != nil else {
            first(units[head], frame, out)
            return
        }
        BestUnits.select(
            UnsafeBufferPointer(rebasing: scores.row(ofHead: head).prefix(frame.units)), count: units[head],
            scratch: try worker.histogram.reserve(BestUnits.scratch), out: out)
    }

    /// The first `count` units that compete.
    private func first(_ count: Int, _ frame: Frame, _ out: UnsafeMutablePointer<Int32>) {
        var (written, next) = (0, 0)
        func put(before end: Int) {
            while written < count, next < end {
                out[written] = Int32(truncatingIfNeeded: next)
                written += 1
                next += 1
            }
        }
        frame.forEachProtected { units in
            put(before: units.lowerBound)
            next = units.upperBound
        }
        put(before: frame.units)
    }
}

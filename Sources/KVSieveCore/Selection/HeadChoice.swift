// The rows that each head of a layer keeps: sinks, the tokens of its best units, recent. Heads go to any thread.

struct HeadChoice: ParallelWork, @unchecked Sendable {
    let frame: Frame
    /// Nil when nothing competes, or nothing was scored: of equals the first are kept.
    let scores: LayerScores?
    /// Of each head, no more than its frame has.
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
        if count == frame.units {
            put(0..<frame.rows)
        } else {
            // The best units are at the end of the head's room: each is read before a row is written over it.
            let best = out + (frame.sinks + count * frame.unit + frame.recent - count)
            try chooseUnits(head, frame, worker, best)
            put(0..<frame.sinks)
            for j in 0..<count { put(frame.positions(ofUnit: Int(best[j]))) }
            put((frame.rows - frame.recent)..<frame.rows)
        }
        lengths[head] = Int64(written)
    }

    private func chooseUnits(
        _ head: Int, _ frame: Frame, _ worker: WorkerBuffers, _ out: UnsafeMutablePointer<Int32>
    ) throws(KVSieveError) {
        guard let scores, scores.table != nil else {
            for j in 0..<units[head] { out[j] = Int32(truncatingIfNeeded: j) }
            return
        }
        BestUnits.select(
            UnsafeBufferPointer(rebasing: scores.row(ofHead: head).prefix(frame.units)), count: units[head],
            scratch: try worker.histogram.reserve(BestUnits.scratch), out: out)
    }
}

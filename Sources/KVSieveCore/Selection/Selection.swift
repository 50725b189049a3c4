// What one layer keeps: head h keeps rows[offsets[h] ..< offsets[h + 1]] of the layer's tensors, ascending, and these are of the
// tokens at positions[offsets[h] ..< offsets[h + 1]]. Of a prompt the two are the same. A copy is the same selection: it shares
// the memory.

public struct Selection: @unchecked Sendable {
    public let frame: Frame
    public let heads: Int
    /// Keeps the memory of the pointers below.
    private let memory: Buffer<Int64>
    /// Size of `memory`.
    let words: Int
    public let offsets: UnsafePointer<Int64>
    public let rows: UnsafePointer<Int32>
    public let positions: UnsafePointer<Int32>
    public let total: Int
    public let longest: Int

    /// The best `units[h]` of each head's ranking, with the tokens that are kept whatever their scores. The top of one ranking: what fewer
    /// units keep is always among what more units keep.
    /// - Parameters:
    ///   - scores: nil when nothing competes.
    ///   - units: clamped to 0 ... the head's.
    ///   - origins: positions of the cache's rows; nil for a prompt.
    init(
        _ frame: Frame, _ scores: LayerScores?, units wanted: some Collection<Int>, from origins: RowOrigins? = nil,
        _ work: Workspace
    ) throws(KVSieveError) {
        let heads = wanted.count
        let units = try work.headCounts.reserve(2 * heads)
        // Heads start where a full last unit would let them; closed up below.
        let starts = units + heads
        var most = 0
        for (head, wanted) in wanted.enumerated() {
            let own = frame.of(head)
            // If nothing of a head is kept for certain, it keeps at least one unit, whatever its budget.
            let least = own.certain > 0 ? 0 : 1
            // Budgets leave room for the protected units of the head that has most.
            let room = max(0, frame.protectedUnits - own.protectedUnits)
            units[head] = min(min(max(wanted, least), frame.units) + room, own.competing)
            starts[head] = most
            // The last unit may be short: room for a full one.
            most += min(units[head] * own.unit, own.competingRows) + own.certain
        }
        for worker in work.workers { try worker.histogram.reserve(BestUnits.scratch) }
        // Offsets, then the rows, two in a word, then the positions if they differ from the rows.
        let half = (most + 1) / 2
        words = heads + 1 + (origins == nil ? half : 2 * half)
        let memory = try work.selections.take(words)
        let offsets = try memory.reserve(words)
        let rows = UnsafeMutableRawPointer(offsets + heads + 1).assumingMemoryBound(to: Int32.self)
        try work.forEach(
            heads,
            HeadChoice(
                frame: frame, scores: scores, units: units, starts: starts, lengths: offsets + 1, rows: rows))
        offsets[0] = 0
        var longest = 0
        for head in 0..<heads {
            let length = Int(offsets[head + 1])
            let target = Int(offsets[head])
            if target != starts[head] { (rows + target).update(from: rows + starts[head], count: length) }
            offsets[head + 1] = Int64(target + length)
            longest = max(longest, length)
        }
        var positions = rows
        if let origins {
            positions += 2 * half
            for head in 0..<heads {
                let first = Int32(truncatingIfNeeded: frame.length.first(head))
                for index in Int(offsets[head])..<Int(offsets[head + 1]) {
                    positions[index] = origins.position(head, Int(rows[index]))
                    rows[index] &+= first
                }
            }
        }
        self.memory = memory
        self.frame = frame
        self.heads = heads
        self.offsets = UnsafePointer(offsets)
        self.rows = UnsafePointer(rows)
        self.positions = UnsafePointer(positions)
        total = Int(offsets[heads])
        self.longest = longest
    }

    /// Where the caches of the next round have these tokens, of which `seen` were seen.
    func rows(seen: Int) -> ProtectedRows.Kept {
        ProtectedRows.Kept(
            offsets: offsets, rows: .of(positions: positions), seen: seen, heads: heads, owner: memory)
    }

    /// How many rows a head keeps.
    func count(_ head: Int) -> Int { Int(offsets[head + 1] - offsets[head]) }

    /// For tests: the positions of a head.
    public func copy(_ head: Int) -> [Int] {
        (Int(offsets[head])..<Int(offsets[head + 1])).map { Int(positions[$0]) }
    }
}

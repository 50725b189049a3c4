// What one layer keeps: head h keeps positions[offsets[h] ..< offsets[h + 1]], ascending.

public final class Selection: @unchecked Sendable {
    public let frame: Frame
    public let heads: Int
    private let memory: Buffer<Int64>
    private let results: ResultMemory
    /// Size of `memory`.
    let words: Int
    public let offsets: UnsafePointer<Int64>
    public let positions: UnsafePointer<Int32>
    public let total: Int
    public let longest: Int

    /// The best `units[h]` of each head's ranking, with the protected tokens around them. The top of one ranking: what fewer
    /// units keep is always among what more units keep.
    /// - Parameter units: clamped to 0 ... frame.units.
    init(
        _ frame: Frame, _ scores: LayerScores, units wanted: [Int], _ work: Workspace
    ) throws(KVSieveError) {
        let heads = wanted.count
        let units = wanted.map { min(max($0, 0), frame.units) }
        // The last unit may be short: room for a full one, cut afterwards.
        let room = units.reduce(0) { $0 + min($1 * frame.unit, frame.candidates.count) + frame.sinks + frame.recent }
        results = work.results
        // Offsets, and behind them the positions, two in a word.
        words = heads + 1 + (room + 1) / 2
        let memory = try results.take(words)
        let offsets = try memory.reserve(words)
        let positions = UnsafeMutableRawPointer(offsets + heads + 1).assumingMemoryBound(to: Int32.self)
        let most = units.max() ?? 0
        for worker in work.workers {
            try worker.ranks.reserve(most)
            try worker.histogram.reserve(RankThreshold.histogramSize)
        }
        // Heads start where a full last unit would let them; closed up below.
        var starts: [Int] = []
        var next = 0
        for count in units {
            starts.append(next)
            next += min(count * frame.unit, frame.candidates.count) + frame.sinks + frame.recent
        }
        let placed = starts
        // Each head writes from its own place on, and its length into offsets[h + 1].
        let lengths = PointerBox(offsets)
        let out = PointerBox(positions)
        try work.forEach(heads) { (head: Int, worker: WorkerBuffers) throws(KVSieveError) in
            let ranks = try worker.ranks.reserve(units[head])
            let histogram = try worker.histogram.reserve(RankThreshold.histogramSize)
            BestUnits.select(
                UnsafeBufferPointer(scores.row(head)), count: units[head], histogram: histogram, out: ranks)
            let length = Self.write(frame, ranks, units[head], out.pointer + placed[head])
            lengths.pointer[head + 1] = Int64(length)
        }
        offsets[0] = 0
        var longest = 0
        for head in 0..<heads {
            let length = Int(offsets[head + 1])
            let target = Int(offsets[head])
            if target != starts[head] { (positions + target).update(from: positions + starts[head], count: length) }
            offsets[head + 1] = Int64(target + length)
            longest = max(longest, length)
        }
        self.memory = memory
        self.frame = frame
        self.heads = heads
        self.offsets = UnsafePointer(offsets)
        self.positions = UnsafePointer(positions)
        total = Int(offsets[heads])
        self.longest = longest
    }

    deinit { results.give(memory) }

    /// Sinks, the chosen units' tokens, recent; returns how many.
    private static func write(
        _ frame: Frame, _ ranks: UnsafeMutablePointer<Int32>, _ count: Int, _ out: UnsafeMutablePointer<Int32>
    ) -> Int {
        var written = 0
        func put(_ range: Range<Int>) {
            for position in range {
                out[written] = Int32(truncatingIfNeeded: position)
                written &+= 1
            }
        }
        put(0..<frame.sinks)
        for j in 0..<count { put(frame.positions(ofUnit: Int(ranks[j]))) }
        put((frame.tokens - frame.recent)..<frame.tokens)
        return written
    }

    /// For tests: the positions of a head.
    public func copy(_ head: Int) -> [Int] {
        (Int(offsets[head])..<Int(offsets[head + 1])).map { Int(positions[$0]) }
    }
}

/// Memory that several workers write, each its own part.
struct PointerBox<Element>: @unchecked Sendable {
    let pointer: UnsafeMutablePointer<Element>
    init(_ pointer: UnsafeMutablePointer<Element>) { self.pointer = pointer }
}

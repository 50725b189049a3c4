// What one layer keeps: head h keeps the cache's rows[offsets[h] ..< offsets[h + 1]], ascending, and these are of the tokens
// at positions[offsets[h] ..< offsets[h + 1]]. Of a prompt the two are the same.

public final class Selection: @unchecked Sendable {
    public let frame: Frame
    public let heads: Int
    private let memory: Buffer<Int64>
    private let results: ResultMemory
    /// Size of `memory`.
    let words: Int
    public let offsets: UnsafePointer<Int64>
    public let rows: UnsafePointer<Int32>
    public let positions: UnsafePointer<Int32>
    public let total: Int
    public let longest: Int

    /// The best `units[h]` of each head's ranking, with the protected tokens around them. The top of one ranking: what fewer
    /// units keep is always among what more units keep.
    /// - Parameters:
    ///   - units: clamped to 0 ... the head's.
    ///   - origin: where the rows come from; nil for a prompt's.
    init(
        _ frame: Frame, _ scores: LayerScores, units wanted: [Int], from origin: Origin? = nil, _ work: Workspace
    ) throws(KVSieveError) {
        let heads = wanted.count
        let frames = (0..<heads).map { frame.of($0) }
        let units = zip(wanted, frames).map { min(max($0, 0), $1.units) }
        // The last unit may be short: room for a full one, cut afterwards.
        let rooms = zip(units, frames).map { min($0 * $1.unit, $1.candidates.count) + $1.sinks + $1.recent }
        let room = rooms.reduce(0, +)
        results = work.results
        // Offsets, behind them the rows, two in a word, and the positions where they are others.
        let half = (room + 1) / 2
        words = heads + 1 + (origin == nil ? half : 2 * half)
        let memory = try results.take(words)
        let offsets = try memory.reserve(words)
        let rows = UnsafeMutableRawPointer(offsets + heads + 1).assumingMemoryBound(to: Int32.self)
        let most = units.max() ?? 0
        for worker in work.workers {
            try worker.ranks.reserve(most)
            try worker.histogram.reserve(RankThreshold.histogramSize)
        }
        // Heads start where a full last unit would let them; closed up below.
        var starts: [Int] = []
        var next = 0
        for room in rooms {
            starts.append(next)
            next += room
        }
        let placed = starts
        // Each head writes from its own place on, and its length into offsets[h + 1].
        let lengths = PointerBox(offsets)
        let out = PointerBox(rows)
        try work.forEach(heads) { (head: Int, worker: WorkerBuffers) throws(KVSieveError) in
            let ranks = try worker.ranks.reserve(units[head])
            let histogram = try worker.histogram.reserve(RankThreshold.histogramSize)
            BestUnits.select(
                UnsafeBufferPointer(rebasing: scores.row(head).prefix(frames[head].units)), count: units[head],
                histogram: histogram, out: ranks)
            let length = Self.write(frames[head], ranks, units[head], out.pointer + placed[head])
            lengths.pointer[head + 1] = Int64(length)
        }
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
        if let origin {
            positions += 2 * half
            for head in 0..<heads {
                for index in Int(offsets[head])..<Int(offsets[head + 1]) {
                    positions[index] = origin.position(head, Int(rows[index]))
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

    deinit { results.give(memory) }

    /// How many rows a head keeps.
    func count(_ head: Int) -> Int { Int(offsets[head + 1] - offsets[head]) }

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

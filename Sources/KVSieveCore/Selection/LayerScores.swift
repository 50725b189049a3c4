// What a layer's tokens are worth: (rows, units) floats, higher is kept. rows is H, or 1 when all heads share one ranking.
// Beside them one mark a head, for methods that treat heads differently.

public final class LayerScores: @unchecked Sendable {
    public private(set) var rows = 0
    public private(set) var units = 0
    /// One number a head, written by methods that rank heads; else none.
    public private(set) var marks = Numbers<Float>()
    private let markMemory: Buffer<Float>
    private let values: Buffer<Float>
    private let counts: Buffer<Int>
    private var counted = false
    private var memory: UnsafeMutablePointer<Float>?

    init(_ account: MemoryAccount) {
        markMemory = Buffer(account)
        values = Buffer(account)
        counts = Buffer(account)
    }

    var entries: Int { rows * units }

    /// Room for (rows, units); contents are unspecified, marks are gone.
    public func reserve(rows: Int, units: Int) throws(KVSieveError) {
        memory = try values.reserve(rows * units)
        self.rows = rows
        self.units = units
        marks = Numbers()
        counted = false
    }

    /// Room for a mark a head, which are the scores' from then on.
    func reserveMarks(_ heads: Int) throws(KVSieveError) -> UnsafeMutablePointer<Float> {
        let memory = try markMemory.reserve(heads)
        marks = Numbers(memory, heads)
        return memory
    }

    /// The memory that another layer's scores and their counts take.
    func prepare(like other: LayerScores) throws(KVSieveError) {
        try values.reserve(other.rows * other.units)
        try counts.reserve(RankShare.buckets)
    }

    /// How many scores have each value of the upper RankShare.bits of their keys; counted when first asked for.
    func histogram() throws(KVSieveError) -> UnsafeMutablePointer<Int> {
        let counts = try counts.reserve(RankShare.buckets)
        guard !counted, let memory else { return counts }
        counts.update(repeating: 0, count: RankShare.buckets)
        for j in 0..<(rows &* units) { counts[RankShare.bucket(memory[j])] &+= 1 }
        counted = true
        return counts
    }

    /// The ranking that head `head` goes by.
    func row(_ head: Int) -> UnsafeMutableBufferPointer<Float> {
        guard let memory, rows > 0 else { return UnsafeMutableBufferPointer(start: nil, count: 0) }
        return UnsafeMutableBufferPointer(start: memory + (rows == 1 ? 0 : head) * units, count: units)
    }

    /// Each ranking once.
    func forEachRow(_ body: (UnsafeBufferPointer<Float>) -> Void) {
        for row in 0..<rows { body(UnsafeBufferPointer(self.row(row))) }
    }

    /// For tests: the scores of a head as an array.
    public func copy(_ head: Int) -> [Float] { Array(row(head)) }
}

/// The layers seen so far; those that nobody will look at again are nil.
public struct ScoreTable: Sendable {
    public let shape: ModelShape
    public internal(set) var layers: [LayerScores?] = []
}

// The scores by which a layer's units are ranked, kept while a later call may read them: the table that the method's score
// returned, in memory of its own, with the method's marks and a histogram of the numbers.

public final class LayerScores: @unchecked Sendable {
    /// What the layer's attention is written to, so that most scores need no copy.
    let memory: TableMemory
    /// Nil before a score was taken.
    private(set) var table: HeadTable?
    private let markMemory: Buffer<Float>
    /// One number a head, of methods that rank heads; a row a head, if other ranks have heads of the layer; else none.
    private(set) var marks = ReadOnlyBuffer<Float>()
    private let counts: Buffer<Int>
    private var counted = false

    init(_ account: MemoryAccount) {
        memory = TableMemory(account)
        markMemory = Buffer(account)
        counts = Buffer(account)
    }

    /// The scores are those of `score` from now on; numbers in other memory are copied here.
    func take(_ score: HeadTable) throws(KVSieveError) {
        counted = false
        var taken = score
        if score.memory !== memory, score.awaitsMean {
            // Columns stay where they are: units are made of the mean.
            try memory.reserve(rows: score.rows, width: score.memory.stride)
            for row in 0..<score.rows {
                guard let source = score.memoryStart(row), let out = memory.row(row) else { continue }
                out.update(from: source, count: score.memory.stride)
            }
            taken = score.with(memory: memory)
        } else if score.memory !== memory {
            try memory.reserve(rows: score.rows, width: score.longest)
            for row in 0..<score.rows {
                guard let source = score.start(row), let out = memory.row(row) else { continue }
                out.update(from: source, count: score.width(row))
            }
            taken = score.with(memory: memory)
            // The copy begins where the row begins.
            if case .candidates(let frame) = score.columns { taken = taken.with(.units(frame)) }
        }
        marks = ReadOnlyBuffer()
        if !score.marks.isEmpty {
            let kept = try markMemory.reserve(score.marks.count)
            for (index, mark) in score.marks.enumerated() { kept[index] = mark }
            marks = ReadOnlyBuffer(kept, score.marks.count)
        }
        table = taken
    }

    /// What is protected cannot be among the best of those that compete.
    func setApartProtected() {
        guard let table, let frame = table.frame, frame.protectedUnits > 0 else { return }
        for row in 0..<rows {
            let numbers = self.row(row)
            table.own(frame, row).forEachProtected { units in
                for unit in units.clamped(to: numbers.indices) { numbers[unit] = -.infinity }
            }
        }
    }

    /// How many numbers of a row compete.
    func competing(_ row: Int) -> Int {
        guard let table else { return 0 }
        return table.width(row) - (table.frame.map { table.own($0, row).protectedUnits } ?? 0)
    }

    /// And of all rows.
    var competing: Int { (0..<rows).reduce(0) { $0 + competing($1) } }

    /// Those of another layer are added; each has one row. The first ones are copied.
    func add(_ other: LayerScores) throws(KVSieveError) {
        guard let one = other.table else { return }
        guard table != nil else { return try take(one) }
        let (sums, numbers) = (row(0), one.row(0))
        for j in 0..<min(sums.count, numbers.count) { sums[j] += numbers[j] }
    }

    /// The numbers of another sum, or none if it has none.
    func copy(_ other: LayerScores) throws(KVSieveError) {
        forget()
        if let table = other.table { try take(table) }
    }

    /// The memory is kept.
    func forget() { table = nil }

    /// Room for one row of so many numbers, and its counts.
    func reserve(_ width: Int, buckets: Int) throws(KVSieveError) {
        try memory.reserve(rows: 1, width: width)
        if buckets > 0 { try counts.reserve(buckets) }
    }

    /// The memory that another layer's scores and their counts take.
    func prepare(like other: LayerScores, buckets: Int = 0) throws(KVSieveError) {
        try memory.reserve(rows: other.memory.rows, width: other.memory.stride)
        if !other.marks.isEmpty { try markMemory.reserve(other.marks.count) }
        if buckets > 0 { try counts.reserve(buckets) }
    }

    var rows: Int { table?.rows ?? 0 }
    /// Does one row rank all heads?
    var isForAllHeads: Bool { table?.isForAllHeads ?? false }
    /// Are these the rows of a mean that other ranks' rows belong to?
    var awaitMean: Bool { table?.awaitsMean ?? false }
    /// Units of the longest row that compete.
    var units: Int { table.map { $0.longest - ($0.frame?.protectedUnits ?? 0) } ?? 0 }

    var entries: Int {
        guard let table else { return 0 }
        return (0..<table.rows).reduce(0) { $0 + table.width($1) }
    }

    func row(_ row: Int) -> UnsafeMutableBufferPointer<Float> {
        table?.row(row) ?? UnsafeMutableBufferPointer(start: nil, count: 0)
    }

    /// The ranking of head `head`.
    func row(ofHead head: Int) -> UnsafeMutableBufferPointer<Float> {
        table?.row(ofHead: head) ?? UnsafeMutableBufferPointer(start: nil, count: 0)
    }

    /// Each ranking once.
    func forEachRow(_ body: (UnsafeBufferPointer<Float>) -> Void) {
        for row in 0..<rows { body(UnsafeBufferPointer(self.row(row))) }
    }

    /// How many scores fall in each of `buckets` buckets; counted when first asked for.
    @inline(__always) func histogram(
        _ buckets: Int, _ bucket: (Float) -> Int
    ) throws(KVSieveError) -> UnsafeMutablePointer<Int> {
        let counts = try counts.reserve(buckets)
        if counted { return counts }
        counts.update(repeating: 0, count: buckets)
        for row in 0..<rows {
            let numbers = self.row(row)
            guard let start = numbers.baseAddress else { continue }
            for j in 0..<numbers.count { counts[bucket(start[j])] &+= 1 }
        }
        counted = true
        return counts
    }

    /// For tests: the scores that rank a head.
    public func copy(_ head: Int) -> [Float] { Array(row(ofHead: head)) }
}

// What the core tests share: seeded numbers, tensors in memory of their own, refusals.
import TestSupport
import Testing

@testable import KVSieveCore

/// The error that `body` throws; nil when it throws none.
func refusal(_ body: () throws -> Void) -> KVSieveError? {
    do {
        try body()
        return nil
    } catch {
        return error as? KVSieveError
    }
}

func expectRefusal(
    _ kind: KVSieveError.Kind, _ message: String, _ body: () throws -> Void,
    at location: SourceLocation = #_sourceLocation
) {
    let error = refusal(body)
    #expect(error?.kind == kind, sourceLocation: location)
    #expect(error?.message == message, sourceLocation: location)
}

/// A closure as work for a plan's threads.
private struct ClosureWork: ParallelWork {
    let body: @Sendable (_ item: Int, _ worker: WorkerBuffers) throws(KVSieveError) -> Void

    func work(on item: Int, with worker: WorkerBuffers) throws(KVSieveError) { try body(item, worker) }
}

extension Workspace {
    func forEach(
        _ items: Int, _ body: @escaping @Sendable (_ item: Int, _ worker: WorkerBuffers) throws(KVSieveError) -> Void
    ) throws(KVSieveError) { try forEach(items, ClosureWork(body: body)) }
}

/// A table of `rows` in memory of its own, which is NaN after the end of a row that is shorter than the longest.
/// - Parameters:
///   - columns: those of the longest row's numbers if nil.
///   - rowsOfHead: as in HeadTable; 0 where all heads share the row.
func makeTable(
    _ rows: [[Float]], _ work: Workspace, columns: HeadTable.Columns? = nil, rowsOfHead: Int = 1
) throws -> HeadTable {
    let memory = TableMemory(work.account)
    return try fill(memory, rows, work, columns: columns, rowsOfHead: rowsOfHead)
}

func fill(
    _ memory: TableMemory, _ rows: [[Float]], _ work: Workspace, columns: HeadTable.Columns? = nil, rowsOfHead: Int = 1
) throws -> HeadTable {
    let width = rows.map(\.count).max() ?? 0
    try memory.reserve(rows: rows.count, width: width)
    memory.start?.update(repeating: .nan, count: rows.count * width)
    for (row, floats) in rows.enumerated() {
        for (j, value) in floats.enumerated() { memory.row(row)?[j] = value }
    }
    return HeadTable(memory, work, columns ?? .elements(width), rows: rows.count, rowsOfHead: rowsOfHead)
}

/// Scores of a layer, a row a head or one for all, in the scores' own memory.
func makeScores(
    _ account: MemoryAccount, _ rows: [[Float]], columns: HeadTable.Columns? = nil
) throws -> LayerScores {
    let scores = LayerScores(account)
    let work = Workspace(threads: 1, account: account)
    try scores.take(
        fill(scores.memory, rows, work, columns: columns, rowsOfHead: rows.count == 1 ? 0 : 1))
    return scores
}

/// A layer's cache whose heads have so many rows each: a prompt's where all have as many.
func cacheLength(_ heads: [Int], new: Int = 1) -> CacheLength {
    if Set(heads).count == 1, let rows = heads.first { return CacheLength(prompt: rows) }
    return CacheLength(seen: (heads.max() ?? 0) + 40, new: new, heads: heads, ofModel: heads.reduce(0, +))
}

/// Pooled in double: terms outside are left out of max, counted as zeros by mean.
func naivePool(_ values: [Float], _ pool: Pool, _ kernel: Int) -> [Double] {
    values.indices.map { j in
        let inside = values[max(0, j - kernel / 2)..<min(values.count, j + kernel / 2 + 1)].map(Double.init)
        return pool == .max ? inside.max() ?? 0 : inside.reduce(0, +) / Double(kernel)
    }
}

extension Pool: CustomTestStringConvertible {
    public var testDescription: String { self == .max ? "max" : "mean" }
}

extension ElementType: CustomTestStringConvertible {
    public var testDescription: String { name }
}

/// Indices of `values`, best first; of equals the lower.
func stableOrder(_ values: [Float]) -> [Int] {
    values.indices.sorted { values[$0] != values[$1] ? values[$0] > values[$1] : $0 < $1 }
}

/// Is every number within `tolerance` of the exact one, relative (and 1e-35, below which exponentials are cut off)?
func furthest(_ floats: [Float], _ exact: [Double]) -> Double {
    zip(floats, exact).reduce(floats.count == exact.count ? 0 : .infinity) { worst, pair in
        let error = abs(Double(pair.0) - pair.1)
        return error <= 1e-35 ? worst : max(worst, error.isNaN ? .infinity : error / abs(pair.1))
    }
}

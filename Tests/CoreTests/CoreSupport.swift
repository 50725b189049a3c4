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
private struct ClosureWork: Piecework {
    let body: @Sendable (_ item: Int, _ worker: WorkerBuffers) throws(KVSieveError) -> Void

    func work(on item: Int, with worker: WorkerBuffers) throws(KVSieveError) { try body(item, worker) }
}

extension Workspace {
    func forEach(
        _ items: Int, _ body: @escaping @Sendable (_ item: Int, _ worker: WorkerBuffers) throws(KVSieveError) -> Void
    ) throws(KVSieveError) { try forEach(items, ClosureWork(body: body)) }
}

/// Scores (rows, units) filled from `values`.
func makeScores(_ account: MemoryAccount, _ values: [[Float]]) throws -> LayerScores {
    let scores = LayerScores(account)
    try scores.reserve(rows: values.count, units: values.first?.count ?? 0)
    for (row, floats) in values.enumerated() {
        let out = scores.row(row)
        for (unit, value) in floats.enumerated() { out[unit] = value }
    }
    return scores
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

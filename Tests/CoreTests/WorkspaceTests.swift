// Work on the plan's threads: every item once, the lowest item's error, memory that does not grow.
import Testing

@testable import KVSieveCore

/// Places that several workers write, each its own.
private final class Counters: @unchecked Sendable {
    let counts: UnsafeMutablePointer<Int>
    let size: Int
    init(_ size: Int) {
        self.size = size
        counts = .allocate(capacity: size)
        counts.initialize(repeating: 0, count: size)
    }
    deinit { counts.deallocate() }
    var all: [Int] { (0..<size).map { counts[$0] } }
}

@Suite struct WorkspaceTests {
    @Test(arguments: [1, 2, 3, 8, 64]) func everyItemIsWorkedOnOnce(_ threads: Int) throws {
        let work = Workspace(threads: threads)
        for items in [0, 1, 2, 3, 7, 64, 1000] {
            let counters = Counters(items + 1)
            try work.forEach(items) { (item: Int, _: WorkerBuffers) throws(KVSieveError) in counters.counts[item] += 1 }
            #expect(counters.all == [Int](repeating: 1, count: items) + [0], "\(items) items")
        }
    }

    @Test(arguments: [1, 2, 4, 7]) func theLowestItemsErrorIsThrown(_ threads: Int) throws {
        let work = Workspace(threads: threads)
        for round in 0..<50 {
            let failing: Set = [11 + round, 30 + round, 99]
            let error = refusal {
                try work.forEach(100) { (item: Int, _: WorkerBuffers) throws(KVSieveError) in
                    // The lowest is the slowest.
                    if item == 11 + round { for _ in 0..<2000 { _ = naturalLogarithm(Double(item)) } }
                    if failing.contains(item) { throw KVSieveError(.budget, "item \(item)") }
                }
            }
            #expect(error?.message == "item \(11 + round)")
            #expect(error?.kind == .budget)
        }
    }

    @Test func afterAnErrorTheThreadsGoOnWorking() throws {
        let work = Workspace(threads: 4)
        for _ in 0..<20 {
            _ = refusal {
                try work.forEach(9) { (item: Int, _: WorkerBuffers) throws(KVSieveError) in
                    throw KVSieveError(.state, "\(item)")
                }
            }
            let counters = Counters(9)
            try work.forEach(9) { (item: Int, _: WorkerBuffers) throws(KVSieveError) in counters.counts[item] += 1 }
            #expect(counters.all == [Int](repeating: 1, count: 9))
        }
    }

    /// Two items at a time never have the same worker's buffers.
    @Test(arguments: [2, 4, 7]) func aWorkersBuffersBelongToOneItemAtATime(_ threads: Int) throws {
        let work = Workspace(threads: threads)
        #expect(work.workers.count == threads)
        #expect(work.workers[0] === work.caller)
        for worker in work.workers { try worker.oneRow.reserve(256) }
        let disturbed = Counters(500)
        try work.forEach(500) { (item: Int, worker: WorkerBuffers) throws(KVSieveError) in
            let row = try worker.oneRow.reserve(256)
            for round in 0..<20 {
                for j in 0..<256 { row[j] = Float(item * 20 + round) }
                for j in 0..<256 where row[j] != Float(item * 20 + round) { disturbed.counts[item] += 1 }
            }
        }
        #expect(disturbed.all.allSatisfy { $0 == 0 })
    }

    @Test func aWorkspaceThatNeverWorkedHoldsNothing() {
        let account = MemoryAccount()
        let work = Workspace(threads: 256, account: account)
        #expect((account.held, account.allocations, work.workers.count) == (0, 0, 256))
    }

    /// A server makes and frees many plans.
    @Test func workspacesComeAndGo() throws {
        for round in 0..<50 {
            let work = Workspace(threads: 1 + round % 5)
            let counters = Counters(8)
            try work.forEach(8) { (item: Int, _: WorkerBuffers) throws(KVSieveError) in counters.counts[item] += 1 }
            #expect(counters.all == [Int](repeating: 1, count: 8))
        }
    }
}

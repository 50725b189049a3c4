// The life of a plan, over every method in the registry: order, failures that change nothing, memory that is used again.
import KVSieveMethods
import TestSupport
import Testing

@testable import KVSieveCore

private func kind(_ body: () throws -> Void) -> KVSieveError.Kind? {
    do { try body() } catch { return (error as? KVSieveError)?.kind }
    return nil
}

@Suite struct PlanTests {
    private let layers = 4
    private func shape() throws -> ModelShape {
        try ModelShape(layers: layers, queryHeads: 4, heads: 2, headDim: 8)
    }
    private func sequence(_ row: MethodRow, _ tokens: Int = 200, seed: UInt64 = 3) throws -> Sequence {
        try Sequence(shape(), tokens: tokens, window: windowOf(row, tokens: tokens), seed: seed)
    }
    private func plan(_ row: MethodRow, account: MemoryAccount = MemoryAccount(), threads: Int = 1) throws -> Plan {
        let plan = try Plan(row, shape(), Shared.plan, account: account)
        var parameters = tight(row, tokens: 200)
        parameters["threads"] = Double(threads)
        for (name, value) in parameters {
            guard let parameter = row.parameters.first(where: { "\($0.name)" == name }) else { continue }
            try plan.set(parameter.id, value)
        }
        return plan
    }
    private func observe(_ plan: Plan, _ layer: Int, _ sequence: Sequence) throws {
        let (q, k, v) = sequence.tensors(layer % layers)
        try sequence.observeLayer(plan, layer, q, k, v)
    }

    @Test(arguments: Registry.rows) func callsOutOfOrderAreRefusedAndChangeNothing(_ row: MethodRow) throws {
        let plan = try plan(row)
        let sequence = try sequence(row)
        #expect(kind { try plan.finish() } == .state)
        #expect(kind { _ = try plan.kept(layer: 0) } == .state)
        #expect(kind { try observe(plan, 1, sequence) } == .state)
        for layer in 0..<layers {
            try observe(plan, layer, sequence)
            #expect(kind { try observe(plan, layer, sequence) } == .state)
            #expect(kind { try observe(plan, layer + 2, sequence) } == (layer + 2 < layers ? .state : .shape))
            #expect(kind { try plan.set(Shared.threads.id, 2) } == .state)
            #expect(kind { _ = try plan.kept(layer: layer + 1) } == (layer + 1 < layers ? .state : .shape))
            if layer + 1 < layers { #expect(kind { try plan.finish() } == .state) }
        }
        try plan.finish()
        #expect(kind { try plan.finish() } == .state)
        #expect(kind { try observe(plan, 0, sequence) } == .state)
        #expect(try positions(plan) == sequence.kept(row, tight(row, tokens: 200)))
    }

    /// A layer that is refused, for whatever reason, can be observed again with what was right.
    @Test(arguments: Registry.rows) func aRefusedLayerLeavesThePlanAsItWas(_ row: MethodRow) throws {
        let plan = try plan(row)
        let sequence = try sequence(row)
        let other = try self.sequence(row, 150)
        for layer in 0..<layers {
            if try plan.needs(layer: layer).contains(.keys) {
                if layer > 0 { #expect(kind { try observe(plan, layer, other) } == .shape) }
                var broken = sequence
                broken.keys[layer][broken.keys[layer].count - 1] = .nan
                #expect(kind { try observe(plan, layer, broken) } == .nonfinite)
                broken = sequence
                broken.queries[layer][5] = .infinity
                #expect(kind { try observe(plan, layer, broken) } == .nonfinite)
            }
            try observe(plan, layer, sequence)
        }
        try plan.finish()
        #expect(try positions(plan) == sequence.kept(row, tight(row, tokens: 200)))
    }

    /// Every allocation of a sequence is refused once: the call says so, and the same call then works.
    @Test(arguments: Registry.rows, [1, 3]) func eachRefusedAllocationIsAnErrorAndNothingMore(
        _ row: MethodRow, _ threads: Int
    ) throws {
        let sequence = try sequence(row)
        let expected = try sequence.kept(row, tight(row, tokens: 200))
        let account = MemoryAccount(limit: 0)
        let plan = try plan(row, account: account, threads: threads)
        var refused = 0
        /// Lets one more allocation through each time.
        func insist(_ call: () throws -> Void) throws {
            account.limit = account.held
            while true {
                do { return try call() } catch let error as KVSieveError where error.kind == .memory {
                    refused += 1
                    account.limit += max(64, account.wanted)
                }
            }
        }
        for layer in 0..<layers { try insist { try observe(plan, layer, sequence) } }
        for layer in 0..<layers { try insist { _ = try plan.kept(layer: layer) } }
        try insist { try plan.finish() }
        #expect(refused > 8)
        #expect(try positions(plan) == expected)
    }

    /// After a sequence, the same one again allocates nothing. (What heads keep, and so the size of a result, may depend on
    /// the scores.)
    @Test(arguments: Registry.rows, [1, 2]) func theNextSequenceAllocatesNothing(_ row: MethodRow, _ threads: Int)
        throws
    {
        let account = MemoryAccount()
        let plan = try plan(row, account: account, threads: threads)
        let sequence = try sequence(row)
        for round in 0..<3 {
            let before = account.allocations
            try sequence.observe(plan)
            try plan.finish()
            if round > 0 { #expect(account.allocations == before, "round \(round)") }
            plan.reset()
        }
    }

    @Test(arguments: Registry.rows) func whatAPlanHoldsDoesNotGrowWithUse(_ row: MethodRow) throws {
        let account = MemoryAccount()
        let plan = try plan(row, account: account)
        var held: [Int] = []
        for round in 0..<30 {
            // Ever longer, then ever shorter.
            let sequence = try sequence(row, 100 + 20 * (round < 15 ? round : 30 - round), seed: UInt64(round))
            try sequence.observe(plan) { plan, layer in _ = try plan.kept(layer: layer) }
            try plan.finish()
            plan.reset()
            held.append(account.held)
        }
        #expect(held.last == held[15])
    }
}

// The life of a plan, over every method in the registry: order, failures that change nothing, memory that is used again.
import KVSieveMethods
import TestSupport
import Testing

@testable import KVSieveCore

@Suite struct PlanTests {
    private let layers = 4
    private func shape() throws -> ModelShape {
        try ModelShape(layers: layers, queryHeads: 4, heads: 2, headDim: 8)
    }
    private func sequence(_ tokens: Int = 200, seed: UInt64 = 3) throws -> Sequence {
        try Sequence(shape(), tokens: tokens, seed: seed)
    }
    private func plan(
        _ method: AnyMethod, account: MemoryAccount = MemoryAccount(), threads: Int = 1
    ) throws -> Plan {
        try method.plan(shape(), method.tight(tokens: 200, ["threads": Double(threads)]), account: account)
    }
    private func observe(_ plan: Plan, _ layer: Int, _ sequence: Sequence) throws {
        let (q, k, v) = sequence.tensors(layer % layers)
        try plan.observe(layer: layer, q, k, v)
    }

    @Test(arguments: AnyMethod.all) func callsOutOfOrderAreRefusedAndChangeNothing(_ method: AnyMethod) throws {
        let plan = try plan(method)
        let sequence = try sequence()
        #expect(errorKind { try plan.finish() } == .state)
        #expect(errorKind { _ = try plan.kept(layer: 0) } == .state)
        #expect(errorKind { try observe(plan, 1, sequence) } == .state)
        for layer in 0..<layers {
            try observe(plan, layer, sequence)
            #expect(errorKind { try observe(plan, layer, sequence) } == .state)
            #expect(errorKind { try observe(plan, layer + 2, sequence) } == (layer + 2 < layers ? .state : .shape))
            #expect(errorKind { try plan.set(Shared.threads.id, 2) } == .state)
            #expect(errorKind { _ = try plan.kept(layer: layer + 1) } == (layer + 1 < layers ? .state : .shape))
            if layer + 1 < layers { #expect(errorKind { try plan.finish() } == .state) }
        }
        try plan.finish()
        #expect(errorKind { try plan.finish() } == .state)
        #expect(errorKind { try observe(plan, 0, sequence) } == .state)
        #expect(try positions(plan) == sequence.kept(method, method.tight(tokens: 200)))
    }

    /// A layer that is refused, for whatever reason, can be observed again with what was right.
    @Test(arguments: AnyMethod.all) func aRefusedLayerLeavesThePlanAsItWas(_ method: AnyMethod) throws {
        let plan = try plan(method)
        let sequence = try sequence()
        let other = try self.sequence(150)
        for layer in 0..<layers {
            let needs = try plan.needs(layer: layer)
            if layer > 0, !needs.isEmpty { #expect(errorKind { try observe(plan, layer, other) } == .shape) }
            if needs.contains(.keys) {
                var broken = sequence
                broken.keys[layer][broken.keys[layer].count - 1] = .nan
                #expect(errorKind { try observe(plan, layer, broken) } == .nonfinite)
            }
            if needs.contains(.queries) {
                var broken = sequence
                // The last element of each head's last row is read by every method that reads queries.
                broken.queries[layer][broken.queries[layer].count - 1] = .infinity
                #expect(errorKind { try observe(plan, layer, broken) } == .nonfinite)
            }
            try observe(plan, layer, sequence)
        }
        try plan.finish()
        #expect(try positions(plan) == sequence.kept(method, method.tight(tokens: 200)))
    }

    /// Every allocation of a sequence is refused once: the call says so, and the same call then works.
    @Test(arguments: AnyMethod.all, [1, 3]) func eachRefusedAllocationIsAnErrorAndNothingMore(
        _ method: AnyMethod, _ threads: Int
    ) throws {
        let sequence = try sequence()
        let expected = try sequence.kept(method, method.tight(tokens: 200))
        let account = MemoryAccount(limit: 0)
        let plan = try plan(method, account: account, threads: threads)
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
        print("\(method.name), \(threads) threads: \(refused) allocations refused")
        #expect(refused >= 6)
        #expect(try positions(plan) == expected)
    }

    /// After a sequence, the same one again allocates nothing. (What heads keep, and so the size of a result, may depend on
    /// the scores.)
    @Test(arguments: AnyMethod.all, [1, 2]) func theNextSequenceAllocatesNothing(
        _ method: AnyMethod, _ threads: Int
    ) throws {
        let account = MemoryAccount()
        let plan = try plan(method, account: account, threads: threads)
        let sequence = try sequence()
        for round in 0..<3 {
            let before = account.allocations
            try sequence.observe(plan)
            try plan.finish()
            if round > 0 { #expect(account.allocations == before, "round \(round)") }
            plan.reset()
        }
    }

    @Test(arguments: AnyMethod.all) func whatAPlanHoldsDoesNotGrowWithUse(_ method: AnyMethod) throws {
        let account = MemoryAccount()
        let plan = try plan(method, account: account)
        var held: [Int] = []
        for round in 0..<30 {
            // Ever longer, then the same again, ever shorter.
            let tokens = 100 + 20 * (round < 15 ? round : 30 - round)
            let sequence = try sequence(tokens, seed: UInt64(tokens))
            try sequence.observe(plan) { plan, layer in _ = try plan.kept(layer: layer) }
            try plan.finish()
            plan.reset()
            held.append(account.held)
        }
        #expect(held.last == held[15])
    }
}

// Sequences that go on: life, memory, threads. The decisions E1 ... E9 are in DecisionsExtend.swift; what is chosen of noise is
// compared with an independent replay in Tests/Extending.
import KVSieveMethods
import TestSupport
import Testing

@testable import KVSieveCore

private let rounds = [3, 30, 1, 70]

@Suite struct ExtendTests {
    private func finished(_ method: AnyMethod, _ prompt: Int = 120, threads: Int = 1) throws -> ExtendedSequence {
        var sequence = try ExtendedSequence(method, threads: threads)
        try sequence.go(prompt)
        return sequence
    }

    /// Each allocation of a round is refused once: the call says so, what was kept until then is as it was, and the same call
    /// then works.
    @Test(arguments: AnyMethod.all, [1, 3]) func eachRefusedAllocationChangesNothing(
        _ method: AnyMethod, _ threads: Int
    )
        throws
    {
        // The prompt is short: it allocates no memory that could be used again.
        var (poor, rich) = try (finished(method, 20, threads: threads), finished(method, 20))
        var refused = 0
        /// Lets more through each time, from nothing on.
        func insist(_ call: () throws -> Void, _ unchanged: () throws -> Void) throws {
            var room = 0
            while true {
                poor.account.limit = poor.account.held + room
                defer { poor.account.limit = .max }
                do { return try call() } catch let error as KVSieveError where error.kind == .memory {
                    refused += 1
                    room += max(64, poor.account.wanted)
                    poor.account.limit = .max
                    try unchanged()
                }
            }
        }
        func keptSoFar(_ sequence: ExtendedSequence, _ layers: Int) throws -> [[[Int]]] {
            try (0..<layers).map { try positions(sequence.plan, layer: $0) }
        }
        for count in [90, 3, 200] {
            try poor.extend(count)
            try rich.extend(count)
            for layer in 0..<4 {
                let before = try keptSoFar(rich, layer)
                try insist({ try poor.observe(layer) }) {
                    let now = try keptSoFar(poor, layer)
                    #expect(now == before)
                    #expect(errorKind { _ = try poor.plan.kept(layer: layer) } == .state)
                }
                try rich.observe(layer)
            }
            let before = try keptSoFar(rich, 4)
            try insist({ try poor.plan.finish() }) {
                let now = try keptSoFar(poor, 4)
                #expect(now == before)
            }
            try poor.settle()
            try rich.finish()
            #expect(poor.kept == rich.kept)
        }
        print("\(method.name), \(threads) threads: \(refused) allocations refused")
        #expect(refused >= 6)
    }

    @Test(arguments: AnyMethod.all, [2, 4]) func threadsChangeNothing(_ method: AnyMethod, _ threads: Int) throws {
        var (one, many) = try (finished(method), finished(method, threads: threads))
        for count in rounds { #expect(try one.go(count) == many.go(count)) }
    }

    /// Thirty rounds hold hardly more than ten: what a layer of DynamicKV keeps depends on the scores. (Task-KV's share grows
    /// with the tokens seen.) A round's positions alone are ten times the little.
    @Test(arguments: AnyMethod.all) func whatAPlanHoldsDoesNotGrowWithRounds(_ method: AnyMethod) throws {
        var sequence = try finished(method)
        var held: [Int] = []
        for _ in 0..<30 {
            try sequence.go(13)
            held.append(sequence.account.held)
        }
        print("\(method.name): \(held[0]) bytes after a round, \(held[9]) after ten, \(held[29]) after thirty")
        #expect(held[29] <= held[9] + (method.goesByRatio ? held[9] / 2 : 400))
    }

    /// A reset in the middle of a round, and the plan is as new.
    @Test(arguments: AnyMethod.all) func resetForgetsARound(_ method: AnyMethod) throws {
        for observed in 0...4 {
            var (begun, fresh) = try (finished(method), finished(method))
            try begun.extend(20)
            for layer in 0..<observed { try begun.observe(layer) }
            begun.plan.reset()
            #expect(errorKind { try begun.plan.extend(1) } == .state)
            begun.forget()
            #expect(try begun.go(120) == fresh.kept)
            #expect(try begun.go(20) == fresh.go(20))
        }
    }
}

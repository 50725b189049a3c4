// What was lost, on cases worked by hand: a window of one row, so that a token's share of the attention is its share of the
// weights. Tests/Mass compares noise with attention in double.
import KVSieveMethods
import TestSupport
import Testing

@testable import KVSieveCore

// Not in the arguments of a test, where a closure crashes the compiler of Swift 6.0.
private let methodsWithMass = AnyMethod.all.filter { $0.parameter("mass") != nil }

@Suite struct ReportTests {
    private let plain: [String: Double] = ["pool_kernel": 1, "report": 1]

    private func finished(
        _ name: String, _ weights: [[[Double]]], _ changes: [String: Double]
    ) throws -> Plan {
        let method = try AnyMethod.named(name)
        let test = try HandmadeCache(
            name, weights, window: method.parameter("window") == nil ? nil : 1,
            method.having(plain).merging(changes) { $1 })
        let plan = try test.plan()
        try test.sequence.observe(plan)
        try plan.finish()
        return plan
    }

    private func mass(_ plan: Plan, _ layer: Int = 0) throws -> [Float] {
        let mass = try #require(plan.report(layer: layer).mass)
        return (0..<plan.shape.heads).map { mass[$0] }
    }

    private func near(_ found: [Float], _ exact: [Double]) -> Bool {
        found.count == exact.count && zip(found, exact).allSatisfy { abs(Double($0) - $1) < 1e-5 }
    }

    /// 16 in all; the first head keeps 4, 3 and the last 4, the second 7, 2 and the last 4.
    @Test func theShareOfTheRowsThatAreKept() throws {
        let plan = try finished("snapkv", [[[4, 1, 3, 1, 2, 1, 4], [1, 0.5, 0.5, 7, 1, 2, 4]]], ["budget": 3])
        let report = try plan.report(layer: 0)
        #expect(try positions(plan) == [[[0, 2, 6], [3, 5, 6]]])
        #expect(try near(mass(plan), [11.0 / 16, 13.0 / 16]))
        #expect(near([Float(report.meanMass), Float(report.leastMass)], [12.0 / 16, 11.0 / 16]))
        #expect(report.kept == 6 && report.dropped == 8 && report.intact == 0)
    }

    /// The first two of both heads are there, the third of one.
    @Test func intactIsWhatEveryHeadHas() throws {
        let plan = try finished("snapkv", [[[9, 8, 7, 1, 1, 1], [9, 8, 1, 7, 1, 1]]], ["budget": 4])
        #expect(try positions(plan) == [[[0, 1, 2, 5], [0, 1, 3, 5]]])
        #expect(try plan.report(layer: 0).intact == 2)
    }

    /// AhaKV scores by rows of gain sqrt(2 ln(6 / 3)) and by values; what it reports has neither.
    @Test func aGainIsNotCounted() throws {
        let plan = try finished("ahakv", [[[1, 8, 2, 1, 3, 1]]], ["budget": 3])
        #expect(try positions(plan) == [[[1, 4, 5]]])
        #expect(try near(mass(plan), [12.0 / 16]))
    }

    /// H2O: rows 1, 1/2 1/2, 1/4 1/4 2/4 give the columns 7/4, 3/4, 2/4 of 3.
    @Test func allRowsAreCountedWhereAllAreRead() throws {
        let plan = try finished("h2o", [[[1, 1, 2]]], ["budget": 2])
        #expect(try positions(plan) == [[[0, 2]]])
        #expect(try near(mass(plan), [9.0 / 12]))
    }

    /// Two layers of a group: the second reads nothing, and keeps what the first's need says.
    @Test func aFollowerOfWindowKVHasNoneOfItsOwn() throws {
        let layer: [[Double]] = [[1, 1, 5, 5, 1, 0.5, 0.5, 2]]
        let parameters: [String: Double] = ["size": 2, "shared": 2, "pyramid": 2, "budget": 4]
        let plan = try finished("windowkv", [layer, layer], parameters)
        #expect(try near(mass(plan), [14.0 / 16]))
        #expect(try plan.report(layer: 1).mass == nil && plan.report(layer: 1).meanMass.isNaN)
        #expect(try plan.report(layer: 1).kept == plan.report(layer: 0).kept)
        let fewer = try finished("windowkv", [layer, layer], parameters.merging(["mass": 0.7]) { $1 })
        #expect(try positions(fewer) == [[[2, 3, 7]], [[2, 3, 7]]])
    }

    private static let needs: [(least: Double, kept: [Int])] = [
        (0.1, [4]), (0.6, [1, 4]), (0.63, [0, 1, 4]), (0.9, [0, 1, 2, 4]), (1, [0, 1, 2, 4]),
    ]

    /// The layer's last token has 1 of 8, token 1 makes it 5, token 0 7.
    @Test(arguments: needs) func noMoreThanTheShareNeeds(_ least: Double, _ kept: [Int]) throws {
        let plan = try finished("snapkv", [[[2, 4, 0.75, 0.25, 1]]], ["budget": 4, "mass": least])
        #expect(try positions(plan) == [[kept]])
    }

    /// What the engine gave as attention: a head that was paid nothing has lost nothing.
    @Test func nothingOfNothingIsLost() throws {
        let method = try AnyMethod.named("snapkv")
        let plan = try method.plan(
            ModelShape(layers: 1, queryHeads: 2, heads: 2, headDim: 8),
            plain.merging(["budget": 2, "window": 1]) { $1 })
        let sums = Tensor([1, 3, 2, 2, 0, 0, 0, 0], heads: 2, tokens: 1, dim: 4, .float32, .headMajor)
        try plan.observe(layer: 0) { (_) throws(KVSieveError) in
            try LayerTensors(attention: GivenAttention(.columnSums, sums.view("attention")), values: nil)
        }
        try plan.finish()
        #expect(try mass(plan) == [0.625, 1])
    }

    /// The choice and the report do not depend on the number of threads, nor on what an earlier sequence left.
    @Test(arguments: methodsWithMass) func threadsAndSequencesChangeNothing(
        _ method: AnyMethod
    ) throws {
        let shape = try ModelShape(layers: 4, queryHeads: 6, heads: 3, headDim: 16)
        let sequence = Sequence(shape, tokens: 300, seed: 95)
        let parameters = method.tight(tokens: 300, ["report": 1, "mass": 0.4])
        func told(_ plan: Plan) throws -> [[Float]] {
            try (0..<4).map { layer in
                let mass = try plan.report(layer: layer).mass
                return (0..<3).map { mass?[$0] ?? -1 }
            }
        }
        var first: ([[[Int]]], [[Float]])?
        for threads in [1, 2, 3] {
            let plan = try method.plan(shape, parameters.merging(["threads": Double(threads)]) { $1 })
            for _ in 0..<2 {
                try sequence.observe(plan) { plan, layer in _ = try plan.report(layer: layer) }
                try plan.finish()
                let now = try (positions(plan), told(plan))
                if let first {
                    #expect(first.0 == now.0 && first.1 == now.1, "\(threads) threads, seed 95")
                } else {
                    first = now
                }
                plan.reset()
            }
        }
    }

    /// Each allocation of a sequence is refused once; the same call then works, and all is as if none had been refused.
    @Test(arguments: methodsWithMass) func eachRefusedAllocationChangesNothing(
        _ method: AnyMethod
    ) throws {
        let sequence = try Sequence(
            ModelShape(layers: 4, queryHeads: 6, heads: 3, headDim: 16), tokens: 200, seed: 96)
        let parameters = method.tight(tokens: 200, ["report": 1, "mass": 0.4])
        let account = MemoryAccount()
        let poor = try method.plan(sequence.shape, parameters, account: account)
        let rich = try method.plan(sequence.shape, parameters)
        var refused = 0
        func insist(_ call: () throws -> Void) throws {
            var room = 0
            while true {
                account.limit = account.held + room
                defer { account.limit = .max }
                do { return try call() } catch let error as KVSieveError where error.kind == .memory {
                    refused += 1
                    room += max(64, account.wanted)
                }
            }
        }
        for layer in 0..<4 {
            try insist { try sequence.observe(poor, layer: layer) }
            try sequence.observe(rich, layer: layer)
        }
        try insist { try poor.finish() }
        try rich.finish()
        #expect(refused > 5, "\(refused) allocations were refused")
        for layer in 0..<4 {
            #expect(try positions(poor, layer: layer) == positions(rich, layer: layer), "layer \(layer), seed 96")
            let (one, two) = try (poor.report(layer: layer).mass, rich.report(layer: layer).mass)
            #expect((0..<3).allSatisfy { one?[$0] == two?[$0] }, "layer \(layer), seed 96")
        }
    }
}

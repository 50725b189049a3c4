// Properties that every method in the registry has, over shapes, dtypes and layouts. A new one is tested without a line here.
import KVSieveMethods
import TestSupport
import Testing

@testable import KVSieveCore

struct MatrixCase: Sendable, CustomTestStringConvertible {
    let method: AnyMethod
    let layers: Int, queryHeads: Int, heads: Int, dim: Int, tokens: Int
    var seed: UInt64 { UInt64(Int(method.row.id) * 1000 + tokens + dim) }
    var testDescription: String { "\(method.name) L\(layers) \(queryHeads):\(heads) D\(dim) T\(tokens)" }
    var shape: ModelShape {
        get throws { try ModelShape(layers: layers, queryHeads: queryHeads, heads: heads, headDim: dim) }
    }
    var sequence: Sequence { get throws { try Sequence(shape, tokens: tokens, seed: seed) } }
    var parameters: [String: Double] { method.tight(tokens: tokens) }

    static let all: [MatrixCase] = AnyMethod.all.flatMap { method in
        [(1, 1, 1, 8, 100), (5, 4, 4, 33, 257), (6, 8, 2, 64, 400), (3, 16, 1, 16, 700), (4, 6, 3, 128, 333)].map {
            MatrixCase(method: method, layers: $0.0, queryHeads: $0.1, heads: $0.2, dim: $0.3, tokens: $0.4)
        }
    }
    static let reading = all.filter(\.method.readsTensors)
}

@Suite struct MatrixTests {
    @Test(arguments: MatrixCase.all) func positionsAscendAndStayInRange(_ test: MatrixCase) throws {
        for layer in try test.sequence.kept(test.method, test.parameters) {
            for head in layer {
                #expect(zip(head, head.dropFirst()).allSatisfy { $0 < $1 })
                #expect(head.first ?? 0 >= 0 && head.last ?? 0 < test.tokens)
            }
        }
    }

    /// The other properties would say nothing of a plan that keeps all, or one head of nothing.
    @Test(arguments: MatrixCase.all) func somethingIsDroppedAndNoHeadEndsEmpty(_ test: MatrixCase) throws {
        let kept = try test.sequence.kept(test.method, test.parameters)
        let rows = kept.joined().map(\.count)
        #expect(rows.reduce(0, +) < test.layers * test.heads * test.tokens)
        #expect(rows.allSatisfy { $0 > 0 })
    }

    @Test(arguments: MatrixCase.all) func protectedTokensAreKept(_ test: MatrixCase) throws {
        let frame = try test.method.frame(test.shape, test.parameters, tokens: test.tokens)
        #expect(frame.units > 0, "nothing competes")
        for layer in try test.sequence.kept(test.method, test.parameters) {
            for head in layer {
                #expect(Set(head).isSuperset(of: (test.tokens - frame.recent)..<test.tokens))
                #expect(Set(head).isSuperset(of: 0..<frame.sinks))
            }
        }
    }

    @Test(arguments: MatrixCase.all) func whatALayerKeepsOnlyShrinks(_ test: MatrixCase) throws {
        let plan = try test.method.plan(test.shape, test.parameters)
        var before: [[Set<Int>]] = []
        try test.sequence.observe(plan) { plan, layer in
            for old in before.indices {
                let now = try positions(plan, layer: old)
                for head in before[old].indices {
                    #expect(before[old][head].isSuperset(of: now[head]))
                    before[old][head] = Set(now[head])
                }
            }
            before.append(try positions(plan, layer: layer).map { Set($0) })
        }
        #expect(before.count == test.layers)
    }

    @Test(arguments: MatrixCase.all, Layout.allCases) func layoutsGiveTheSameChoice(
        _ test: MatrixCase, _ layout: Layout
    ) throws {
        let sequence = try test.sequence
        let expected = try sequence.kept(test.method, test.parameters)
        #expect(try sequence.kept(test.method, test.parameters, .float32, layout) == expected)
    }

    /// The data are exact in every dtype, and scores are computed in float: so the choice is the same to the last token.
    @Test(arguments: MatrixCase.all, [ElementType.float16, .bfloat16])
    func dtypesThatHoldTheSameNumbersGiveTheSameChoice(_ test: MatrixCase, _ type: ElementType) throws {
        var sequence = try test.sequence
        sequence.coarsen()
        let parameters = test.parameters
        #expect(try sequence.kept(test.method, parameters, type) == sequence.kept(test.method, parameters))
    }

    @Test(arguments: MatrixCase.all, [2, 4, 7]) func threadsDoNotChangeTheChoice(
        _ test: MatrixCase, _ threads: Int
    ) throws {
        var parameters = test.parameters
        let sequence = try test.sequence
        let expected = try sequence.kept(test.method, parameters)
        parameters["threads"] = Double(threads)
        #expect(try sequence.kept(test.method, parameters) == expected)
    }

    @Test(arguments: MatrixCase.all) func aResetPlanIsAsGoodAsNew(_ test: MatrixCase) throws {
        let plan = try test.method.plan(test.shape, test.parameters)
        try Sequence(test.shape, tokens: test.tokens + 61, seed: test.seed + 1).observe(plan)
        try plan.finish()
        plan.reset()
        let sequence = try test.sequence
        try sequence.observe(plan)
        try plan.finish()
        #expect(try positions(plan) == sequence.kept(test.method, test.parameters))
    }

    /// Heads that see the same tensors choose the same, where they keep as many; of methods that look at a tensor at all.
    @Test(arguments: MatrixCase.reading) func equalHeadsGiveEqualChoices(_ test: MatrixCase) throws {
        var sequence = try test.sequence
        for layer in 0..<test.layers {
            for (path, heads) in [
                (\Sequence.queries, test.queryHeads), (\Sequence.keys, test.heads), (\Sequence.values, test.heads),
            ] {
                let all = sequence[keyPath: path][layer]
                let one = Array(all.prefix(all.count / heads))
                sequence[keyPath: path][layer] = (0..<heads).flatMap { _ in one }
            }
        }
        for layer in try sequence.kept(test.method, test.parameters) {
            for head in layer where head.count == layer[0].count { #expect(head == layer[0]) }
        }
    }

    @Test(arguments: MatrixCase.all) func shortPromptsAreKeptWhole(_ test: MatrixCase) throws {
        for tokens in [1, 2, 7, 8] {
            let kept = try Sequence(test.shape, tokens: tokens, seed: test.seed).kept(test.method, test.parameters)
            #expect(kept.allSatisfy { $0.allSatisfy { $0 == Array(0..<tokens) } })
        }
    }

    @Test(arguments: MatrixCase.all) func gatherInPlaceIsTheCopy(_ test: MatrixCase) throws {
        let plan = try test.method.plan(test.shape, test.parameters)
        let sequence = try test.sequence
        try sequence.observe(plan)
        try plan.finish()
        for layer in 0..<test.layers {
            for (type, layout) in [
                (ElementType.float32, Layout.headMajor), (.bfloat16, .tokenMajor), (.float16, .padded),
            ] {
                let source = sequence.tensors(layer, type, layout).keys
                let kept = try positions(plan, layer: layer)
                let expected = kept.enumerated().map { head, rows in rows.map { source.row(head, $0) } }
                try plan.gather(layer: layer, source: source.view("source"), target: source.view("target"))
                for head in 0..<test.heads {
                    #expect((0..<expected[head].count).map { source.row(head, $0) } == expected[head])
                }
            }
        }
    }
}

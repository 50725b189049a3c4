import KVSieveMethods
import TestSupport
import Testing

// Properties that every method in the registry has, over shapes, dtypes and layouts. A new row is tested without a line here.
@testable import KVSieveCore

struct Case: Sendable, CustomStringConvertible {
    let method: Int
    let layers: Int, queryHeads: Int, heads: Int, dim: Int, tokens: Int
    var seed: UInt64 { UInt64(method * 1000 + tokens + dim) }
    var row: MethodRow { Registry.rows[method] }
    var description: String { "\(row.name) L\(layers) \(queryHeads):\(heads) D\(dim) T\(tokens) seed \(seed)" }
    func shape() throws -> ModelShape {
        try ModelShape(layers: layers, queryHeads: queryHeads, heads: heads, headDim: dim)
    }
    func sequence() throws -> Sequence {
        try Sequence(shape(), tokens: tokens, window: windowOf(row, tokens: tokens), seed: seed)
    }
}

let matrix: [Case] = Registry.rows.indices.flatMap { method in
    [(1, 1, 1, 8, 100), (5, 4, 4, 33, 257), (6, 8, 2, 64, 400), (3, 16, 1, 16, 700), (4, 6, 3, 128, 333)].map {
        Case(method: method, layers: $0.0, queryHeads: $0.1, heads: $0.2, dim: $0.3, tokens: $0.4)
    }
}

@Suite struct MatrixTests {
    @Test(arguments: matrix) func positionsAscendAndStayInRange(_ test: Case) throws {
        for layer in try test.sequence().kept(test.row, tight(test.row, tokens: test.tokens)) {
            for head in layer {
                #expect(zip(head, head.dropFirst()).allSatisfy { $0 < $1 })
                #expect(head.first ?? 0 >= 0 && head.last ?? 0 < test.tokens)
            }
        }
    }

    @Test(arguments: matrix) func protectedTokensAreKept(_ test: Case) throws {
        let parameters = tight(test.row, tokens: test.tokens)
        let recent =
            test.row.parameters.contains { "\($0.name)" == "recent" }
            ? Int(parameters["recent"] ?? 0) : Int(parameters["window"] ?? 0)
        let sinks = Int(parameters["sinks"] ?? 0)
        for layer in try test.sequence().kept(test.row, parameters) {
            for head in layer {
                #expect(Set(head).isSuperset(of: (test.tokens - recent)..<test.tokens))
                #expect(Set(head).isSuperset(of: 0..<sinks))
            }
        }
    }

    @Test(arguments: matrix) func whatALayerKeepsOnlyShrinks(_ test: Case) throws {
        let plan = try makePlan(test.row, test.shape(), tight(test.row, tokens: test.tokens))
        var before: [[Set<Int>]] = []
        try test.sequence().observe(plan) { plan, layer in
            for old in before.indices {
                let now = try plan.kept(layer: old)
                for head in before[old].indices {
                    #expect(before[old][head].isSuperset(of: now.copy(head)))
                    before[old][head] = Set(now.copy(head))
                }
            }
            let selection = try plan.kept(layer: layer)
            before.append((0..<selection.heads).map { Set(selection.copy($0)) })
        }
        #expect(before.count == test.layers)
    }

    @Test(arguments: matrix, Layout.allCases) func layoutsGiveTheSameChoice(_ test: Case, _ layout: Layout) throws {
        let parameters = tight(test.row, tokens: test.tokens)
        let sequence = try test.sequence()
        let expected = try sequence.kept(test.row, parameters)
        #expect(try sequence.kept(test.row, parameters, .float32, layout) == expected)
    }

    /// The data are exact in every dtype, and scores are computed in float: so the choice is the same to the last token.
    @Test(arguments: matrix, [ElementType.float16, .bfloat16])
    func dtypesThatHoldTheSameNumbersGiveTheSameChoice(_ test: Case, _ type: ElementType) throws {
        var sequence = try test.sequence()
        for layer in 0..<test.layers {
            for path in [\Sequence.queries, \Sequence.keys, \Sequence.values] {
                sequence[keyPath: path][layer] = sequence[keyPath: path][layer].map { ($0 * 4).rounded() / 4 }
            }
        }
        let parameters = tight(test.row, tokens: test.tokens)
        #expect(try sequence.kept(test.row, parameters, type) == sequence.kept(test.row, parameters))
    }

    @Test(arguments: matrix, [2, 4, 7]) func threadsDoNotChangeTheChoice(_ test: Case, _ threads: Int) throws {
        var parameters = tight(test.row, tokens: test.tokens)
        let sequence = try test.sequence()
        let expected = try sequence.kept(test.row, parameters)
        parameters["threads"] = Double(threads)
        #expect(try sequence.kept(test.row, parameters) == expected)
    }

    @Test(arguments: matrix) func aResetPlanIsAsGoodAsNew(_ test: Case) throws {
        let parameters = tight(test.row, tokens: test.tokens)
        let plan = try makePlan(test.row, test.shape(), parameters)
        let other = try Sequence(
            test.shape(), tokens: test.tokens + 61, window: windowOf(test.row, tokens: test.tokens + 61),
            seed: test.seed + 1)
        try other.observe(plan)
        try plan.finish()
        plan.reset()
        let sequence = try test.sequence()
        try sequence.observe(plan)
        try plan.finish()
        #expect(try positions(plan) == sequence.kept(test.row, parameters))
    }

    /// Heads that see the same tensors choose the same, where a method has one length for all heads.
    @Test(arguments: matrix) func equalHeadsGiveEqualChoices(_ test: Case) throws {
        var sequence = try test.sequence()
        for layer in 0..<test.layers {
            for (path, heads) in [
                (\Sequence.queries, test.queryHeads), (\Sequence.keys, test.heads), (\Sequence.values, test.heads),
            ] {
                let all = sequence[keyPath: path][layer]
                let one = Array(all.prefix(all.count / heads))
                sequence[keyPath: path][layer] = (0..<heads).flatMap { _ in one }
            }
        }
        for layer in try sequence.kept(test.row, tight(test.row, tokens: test.tokens)) {
            for head in layer where head.count == layer[0].count { #expect(head == layer[0]) }
        }
    }

    @Test(arguments: matrix) func shortPromptsAreKeptWhole(_ test: Case) throws {
        let parameters = tight(test.row, tokens: test.tokens)
        let window = Int(parameters["window"] ?? 8)
        for tokens in [1, 2, window - 1, window] {
            let sequence = try Sequence(test.shape(), tokens: tokens, window: window, seed: test.seed)
            let kept = try sequence.kept(test.row, parameters)
            #expect(kept.allSatisfy { $0.allSatisfy { $0 == Array(0..<tokens) } })
        }
    }

    @Test(arguments: matrix) func gatherInPlaceIsTheCopy(_ test: Case) throws {
        let plan = try makePlan(test.row, test.shape(), tight(test.row, tokens: test.tokens))
        let sequence = try test.sequence()
        try sequence.observe(plan)
        try plan.finish()
        for layer in 0..<test.layers {
            for (type, layout) in [
                (ElementType.float32, Layout.headMajor), (.bfloat16, .tokenMajor), (.float16, .padded),
            ] {
                let source = sequence.tensors(layer, type, layout).1
                let selection = try plan.kept(layer: layer)
                let expected = (0..<test.heads).map { head in selection.copy(head).map { source.row(head, $0) } }
                try plan.gather(layer: layer, source: source.view("source"), target: source.view("target"))
                for head in 0..<test.heads {
                    #expect((0..<expected[head].count).map { source.row(head, $0) } == expected[head])
                }
            }
        }
    }
}

extension ElementType: CustomTestStringConvertible {
    public var testDescription: String { name }
}
